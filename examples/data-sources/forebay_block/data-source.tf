data "forebay_block" "registry" {
  type_slug = "docker-registry"
  name      = "registry"
}
