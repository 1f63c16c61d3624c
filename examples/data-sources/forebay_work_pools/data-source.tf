data "forebay_work_pools" "docker" {
  type   = "docker"
  paused = false
}

output "docker_pools" {
  value = data.forebay_work_pools.docker.work_pools[*].name
}
