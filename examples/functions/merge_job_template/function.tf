locals {
  template = {
    job_configuration = { image = "{{ image }}" }
    variables         = { properties = { image = { type = "string" } } }
  }
}

# The same template, whose jobs use this image unless they say otherwise.
output "template" {
  value = provider::forebay::merge_job_template(local.template, { image = "python:3.13" })
}
