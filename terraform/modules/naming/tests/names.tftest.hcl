variables {
  project     = "gnnscale"
  environment = "dev"
  catalog     = "main"
}

run "names_of_an_environment" {
  command = plan

  assert {
    condition     = output.prefix == "gnnscale-dev" && output.schema == "gnnscale_dev"
    error_message = "Names in the workspace have hyphens, those in the catalog underscores."
  }

  assert {
    condition     = output.model_name == "main.gnnscale_dev.predictions"
    error_message = "The model's name has three parts."
  }

  assert {
    condition     = output.tags.project == "gnnscale" && output.tags.environment == "dev"
    error_message = "Tags say which project and environment pays."
  }
}

run "environments_do_not_share_names" {
  command = plan

  variables {
    environment = "prod"
  }

  assert {
    condition     = !strcontains(join(" ", [output.prefix, output.schema, output.experiment]), "dev")
    error_message = "A name of dev is in prod."
  }
}

run "an_environment_that_is_unknown_is_refused" {
  command = plan

  variables {
    environment = "qa"
  }

  expect_failures = [var.environment]
}

run "a_project_with_a_space_is_refused" {
  command = plan

  variables {
    project = "gnn scale"
  }

  expect_failures = [var.project]
}
