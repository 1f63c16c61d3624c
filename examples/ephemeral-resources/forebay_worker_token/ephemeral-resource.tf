resource "forebay_work_pool" "jobs" {
  name = "jobs"
  type = "kubernetes"
}

# Made for this command only, and revoked when it ends.
ephemeral "forebay_worker_token" "jobs" {
  work_pool_id = forebay_work_pool.jobs.id
  ttl          = "30m"
}

# It goes where nothing keeps it: into a write-only argument, or into a provider's settings.
resource "forebay_block" "token" {
  name            = "worker-token"
  type_slug       = "secret"
  data_wo         = jsonencode({ value = ephemeral.forebay_worker_token.jobs.token })
  data_wo_version = 1
}
