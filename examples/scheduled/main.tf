# A deployment that runs every night in a pool of its own.

terraform {
  required_providers {
    forebay = {
      source = "forebay/forebay"
    }
  }
}

variable "name" {
  description = "Name of the pool, the flow and the deployment."
  type        = string
  default     = "scheduled"
}

variable "hour" {
  description = "Hour of the day, in UTC, at which it runs."
  type        = number
  default     = 3
}

resource "forebay_work_pool" "this" {
  name                  = var.name
  type                  = "process"
  job_template_defaults = { env = { LOG_LEVEL = "info" } }
}

resource "forebay_flow" "this" {
  name = var.name
}

resource "forebay_deployment" "this" {
  flow_name         = forebay_flow.this.name
  name              = var.name
  entrypoint        = "flows/nightly.py:nightly"
  work_pool_name    = forebay_work_pool.this.name
  base_job_template = forebay_work_pool.this.effective_base_job_template
  job_variables     = jsonencode({ env = { REGION = "eu" } })
}

resource "forebay_deployment_schedule" "nightly" {
  deployment_id = forebay_deployment.this.id
  slug          = "nightly"
  cron          = "0 ${var.hour} * * *"
  timezone      = "UTC"
}
