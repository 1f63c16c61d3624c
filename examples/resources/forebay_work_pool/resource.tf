resource "forebay_work_pool" "etl" {
  name              = "etl"
  type              = "process"
  description       = "Nightly loads"
  concurrency_limit = 10

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
