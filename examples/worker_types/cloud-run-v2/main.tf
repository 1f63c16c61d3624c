# A pool whose runs are jobs of Google Cloud Run, through version 2 of its API.
# What is secret is referred to, and a database of Cloud SQL is reached below /cloudsql.

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
  name              = "cloud-run-v2"
  type              = "cloud-run-v2"
  description       = "Nightly loads on Cloud Run"
  concurrency_limit = 20

  job_template_defaults = {
    image                  = var.image
    region                 = "europe-west1"
    launch_stage           = "GA"
    cpu                    = "2000m"
    memory                 = "2Gi"
    timeout                = 7200
    max_retries            = 0
    service_account_name   = "etl@my-project.iam.gserviceaccount.com"
    cloudsql_instances     = ["my-project:europe-west1:warehouse"]
    prefect_api_key_secret = { secret = "forebay-api-key", version = "latest" }

    env_from_secrets = {
      DATABASE_PASSWORD = { secret = "warehouse-password", version = "3" }
    }
  }
}
