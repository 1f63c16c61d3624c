# A pool whose runs are processes of the machine on which its worker runs.

terraform {
  required_providers {
    forebay = {
      source = "forebay/forebay"
    }
  }
}

resource "forebay_work_pool" "process" {
  name              = "process"
  type              = "process"
  description       = "Small jobs on the worker's own machine"
  concurrency_limit = 4

  job_template_defaults = {
    env           = { LOG_LEVEL = "info" }
    stream_output = false
  }
}
