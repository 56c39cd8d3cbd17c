run "rankings_are_retrieved" {
  command = plan

  variables {
    answers = "links"
  }

  assert {
    condition     = contains(keys(output.tasks), "retrieve") && !contains(keys(output.tasks), "predict")
    error_message = "A job of rankings embeds and retrieves."
  }

  assert {
    condition     = output.tasks["train"].compute == "gpu" && output.tasks["graph"].compute == "spark"
    error_message = "Training is on GPUs, the graph on Spark."
  }
}

run "values_are_predicted" {
  command = plan

  variables {
    answers = "entities"
    values  = { recipe = "mine" }
  }

  assert {
    condition     = contains(keys(output.tasks), "predict") && !contains(keys(output.tasks), "retrieve")
    error_message = "A job of values predicts."
  }

  assert {
    condition     = output.parameters.recipe == "mine" && output.parameters.seed == "0"
    error_message = "What is given replaces the default, and the rest stays."
  }

  assert {
    condition = alltrue([
      for task in values(output.tasks) : alltrue([for before in task.after : contains(keys(output.tasks), before)])
    ])
    error_message = "A task waits for one that is not there."
  }
}

run "a_parameter_that_the_job_does_not_have_is_refused" {
  command = plan

  variables {
    answers = "links"
    values  = { color = "red" }
  }

  expect_failures = [var.values]
}
