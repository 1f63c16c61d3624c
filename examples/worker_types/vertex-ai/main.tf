# A pool whose runs are custom jobs of Vertex AI, each on a machine with an accelerator.

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
  default     = "europe-docker.pkg.dev/my-project/flows/train:1.0"
}

resource "forebay_work_pool" "training" {
  name              = "training"
  type              = "vertex-ai"
  description       = "Training on Vertex AI"
  concurrency_limit = 2

  job_template_defaults = {
    image                  = var.image
    region                 = "europe-west4"
    machine_type           = "n1-standard-8"
    accelerator_type       = "NVIDIA_TESLA_T4"
    accelerator_count      = 1
    boot_disk_size_gb      = 200
    maximum_run_time_hours = 12
    service_account_name   = "train@my-project.iam.gserviceaccount.com"
    scheduling             = { strategy = "SPOT" }
    labels                 = { team = "research" }
  }
}
