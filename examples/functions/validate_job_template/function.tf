variable "template" {
  type        = string
  description = "A base job template as JSON."

  validation {
    condition     = provider::forebay::validate_job_template(var.template)
    error_message = "The server would refuse this template."
  }
}
