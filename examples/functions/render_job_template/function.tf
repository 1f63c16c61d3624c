locals {
  template = {
    job_configuration = { command = "{{ command }}", env = "{{ env }}" }
    variables = {
      properties = {
        command = { type = "string" }
        env     = { type = "object", default = {} }
      }
    }
  }
}

# What a worker would run for a deployment with these job variables.
output "job" {
  value = jsondecode(provider::forebay::render_job_template(local.template, {
    command = "python flow.py"
    env     = { LEVEL = "debug" }
  }))
}
