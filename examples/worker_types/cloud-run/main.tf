# A pool whose runs are jobs of Google Cloud Run, through version 1 of its API.
# The run finds its API key in Secret Manager: the job itself holds no token.

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
  default     = "europe-docker.pkg.dev/my-project/flows/etl:2.4"
}

resource "forebay_work_pool" "cloud_run" {
  name              = "cloud-run"
  type              = "cloud-run"
  description       = "Nightly loads on Cloud Run"
  concurrency_limit = 20

  job_template_defaults = {
    image                  = var.image
    region                 = "europe-west1"
    cpu                    = "1000m"
    memory                 = "1Gi"
    timeout                = 1800
    service_account_name   = "etl@my-project.iam.gserviceaccount.com"
    labels                 = { team = "data" }
    env                    = { LOG_LEVEL = "info" }
    prefect_api_key_secret = { secret = "forebay-api-key", version = "latest" }
  }
}
