data "forebay_worker_metadata" "all" {}

output "docker_template" {
  value = data.forebay_worker_metadata.all.worker_types["docker"].default_base_job_template
}
