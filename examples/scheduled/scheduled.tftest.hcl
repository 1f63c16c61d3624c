variables {
  name = "scheduled-test"
}

run "workers_get_the_variables_of_pool_and_deployment" {
  command = plan

  assert {
    condition = jsondecode(forebay_deployment.this.effective_job_configuration).env == {
      LOG_LEVEL = "info"
      REGION    = "eu"
    }
    error_message = "The environment of runs is another, and the plan should know it."
  }
}

run "it_runs_at_the_hour_given" {
  variables {
    hour = 4
  }

  assert {
    condition     = forebay_deployment_schedule.nightly.cron == "0 4 * * *"
    error_message = "It runs at another hour."
  }

  assert {
    condition     = forebay_deployment_schedule.nightly.active
    error_message = "The schedule is paused."
  }
}
