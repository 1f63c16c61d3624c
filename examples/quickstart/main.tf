# A work pool for runs on this machine, and an urgent queue in front of its default one.
# The provider finds the server by itself: FOREBAY_API_URL and FOREBAY_API_KEY, else the profile
# that the first `forebay server start` wrote.

terraform {
  required_providers {
    forebay = {
      source = "forebay/forebay"
    }
  }
}

provider "forebay" {}

resource "forebay_work_pool" "local" {
  name              = "quickstart"
  type              = "process"
  description       = "Runs on this machine"
  concurrency_limit = 2

  base_job_template = jsonencode({
    job_configuration = {
      command       = "{{ command }}"
      env           = "{{ env }}"
      stream_output = "{{ stream_output }}"
      working_dir   = "{{ working_dir }}"
    }
    variables = {
      type = "object"
      properties = {
        command       = { type = "string" }
        env           = { type = "object", default = { GREETING = "Hello" } }
        stream_output = { type = "boolean", default = true }
        working_dir   = { type = "string" }
      }
    }
  })
}

resource "forebay_work_queue" "urgent" {
  work_pool_name = forebay_work_pool.local.name
  name           = "urgent"
  description    = "Served before the default queue"
  priority       = 1
}

output "pool_id" {
  value = forebay_work_pool.local.id
}
