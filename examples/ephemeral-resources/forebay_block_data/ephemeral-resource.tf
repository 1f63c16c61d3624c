# Read for this command alone: the secret is in no state and in no plan.
ephemeral "forebay_block_data" "registry" {
  type_slug = "secret"
  name      = "registry-token"
}

locals {
  registry_token = jsondecode(ephemeral.forebay_block_data.registry.data).value
}
