# `terraform test` makes the pool on the server, looks at it and takes it away again.

run "plans_a_pool_that_workers_here_can_serve" {
  command = plan

  assert {
    condition     = forebay_work_pool.local.type == "process"
    error_message = "A worker on this machine serves pools of the type process."
  }

  assert {
    condition = provider::forebay::validate_job_template(
      forebay_work_pool.local.effective_base_job_template
    )
    error_message = "Every placeholder of the template must be declared."
  }
}

run "serves_urgent_runs_first" {
  assert {
    condition     = output.pool_id == forebay_work_pool.local.id
    error_message = "The output names the pool."
  }

  assert {
    condition     = forebay_work_queue.urgent.priority == 1
    error_message = "The urgent queue comes before the default one."
  }
}
