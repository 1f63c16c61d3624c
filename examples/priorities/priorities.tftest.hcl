variables {
  pool = "priorities-test"
}

run "queues_stand_in_the_order_given" {
  assert {
    condition     = [for name in ["urgent", "daily", "default"] : output.priorities[name]] == [1, 2, 3]
    error_message = "The queues stand otherwise."
  }
}

run "another_order_moves_them" {
  variables {
    queues = ["daily", "urgent"]
  }

  assert {
    condition     = [for name in ["daily", "urgent", "default"] : output.priorities[name]] == [1, 2, 3]
    error_message = "The queues stand otherwise."
  }
}

run "a_queue_has_one_place" {
  command = plan

  variables {
    queues = ["daily", "daily"]
  }

  expect_failures = [var.queues]
}
