# A pool whose runs are jobs of a Kubernetes cluster.

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

resource "forebay_work_pool" "kubernetes" {
  name              = "kubernetes"
  type              = "kubernetes"
  description       = "Nightly loads in the cluster"
  concurrency_limit = 20

  job_template_defaults = {
    image                = var.image
    namespace            = "flows"
    service_account_name = "etl"
    finished_job_ttl     = 3600
    env                  = { LOG_LEVEL = "info" }
    labels               = { team = "data" }
  }
}
