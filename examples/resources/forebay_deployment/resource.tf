resource "forebay_work_pool" "etl" {
  name = "etl"
  type = "process"
}

resource "forebay_flow" "load" {
  name = "load"
}

resource "forebay_deployment" "nightly" {
  flow_name         = forebay_flow.load.name
  name              = "nightly"
  entrypoint        = "flows/load.py:load"
  work_pool_name    = forebay_work_pool.etl.name
  base_job_template = forebay_work_pool.etl.effective_base_job_template

  parameters    = jsonencode({ table = "orders" })
  job_variables = jsonencode({ env = { LOG_LEVEL = "debug" } })

  concurrency = {
    limit              = 1
    collision_strategy = "CANCEL_NEW"
  }

  pull_steps = [
    {
      step = "prefect.deployments.steps.git_clone"
      inputs = jsonencode({
        repository = "https://example.com/etl.git"
        branch     = "main"
      })
    },
  ]
}
