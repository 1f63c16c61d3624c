data "forebay_work_pool" "etl" {
  name = "etl"
}

# Names and types of what deployments to this pool may set.
output "variables" {
  value = {
    for name, schema in provider::forebay::job_template_variables(data.forebay_work_pool.etl.base_job_template) :
    name => try(schema.type, "any")
  }
}
