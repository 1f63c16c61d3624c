variable "warehouse_password" {
  type      = string
  sensitive = true
  ephemeral = true
}

# Kept nowhere: sent when the block is made, and again when the version changes.
resource "forebay_block" "warehouse" {
  type_slug       = "secret"
  name            = "warehouse"
  data_wo         = jsonencode({ value = var.warehouse_password })
  data_wo_version = 1
}

# Kept in the state, so that a change from outside shows.
resource "forebay_block" "registry" {
  type_slug = "docker-registry"
  name      = "registry"
  data = jsonencode({
    registry_url = "registry.example.com"
    username     = "robot"
    password     = ""
  })
}
