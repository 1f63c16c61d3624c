# Three values over the template of the type, instead of the whole template.
resource "forebay_work_pool" "etl" {
  name              = "etl"
  type              = "docker"
  description       = "Nightly loads"
  concurrency_limit = 10

  job_template_defaults = {
    image       = "registry.example.com/etl:2.4"
    auto_remove = true
    env         = { LOG_LEVEL = "info" }
  }

  default_queue = {
    priority          = 2
    concurrency_limit = 5
  }
}

# A template of one's own.
resource "forebay_work_pool" "scripts" {
  name = "scripts"
  type = "process"

  base_job_template = jsonencode({
    job_configuration = {
      command = "{{ command }}"
      env     = "{{ env }}"
    }
    variables = {
      type = "object"
      properties = {
        command = { type = "string", description = "Command line to run." }
        env     = { type = "object", default = { LOG_LEVEL = "info" } }
      }
    }
  })
}
