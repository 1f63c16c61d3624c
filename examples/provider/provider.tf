terraform {
  required_providers {
    forebay = {
      source = "registry.terraform.io/forebay/forebay"
    }
  }
}

# Without arguments: FOREBAY_API_URL and FOREBAY_API_KEY, else the active profile, which the
# first `forebay server start` on this machine writes.
provider "forebay" {}
