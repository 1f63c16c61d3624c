# A pool whose runs are containers of the Docker engine that its worker finds.

terraform {
  required_providers {
    forebay = {
      source = "forebay/forebay"
    }
  }
}

variable "image" {
  description = "An image with Python, forebay and the flows."
  type        = string
  default     = "registry.example.com/etl:2.4"
}

resource "forebay_work_pool" "docker" {
  name              = "docker"
  type              = "docker"
  description       = "Nightly loads in containers"
  concurrency_limit = 10

  job_template_defaults = {
    image             = var.image
    image_pull_policy = "IfNotPresent"
    networks          = ["etl"]
    volumes           = ["/srv/data:/data:ro"]
    mem_limit         = "2g"
    env               = { LOG_LEVEL = "info" }
    labels            = { team = "data" }
  }
}
