# A pool whose runs are container groups of Azure, in a subnet, with an image of one's own registry.

terraform {
  required_providers {
    forebay = {
      source = "forebay/forebay"
    }
  }
}

variable "subscription_id" {
  description = "The subscription that is charged."
  type        = string
  default     = "00000000-0000-0000-0000-000000000000"
}

locals {
  group    = "/subscriptions/${var.subscription_id}/resourceGroups/flows/providers"
  identity = "${local.group}/Microsoft.ManagedIdentity/userAssignedIdentities/etl"
}

resource "forebay_work_pool" "azure" {
  name              = "azure"
  type              = "azure-container-instance"
  description       = "Nightly loads on Azure"
  concurrency_limit = 10

  job_template_defaults = {
    subscription_id     = var.subscription_id
    resource_group_name = "flows"
    image               = "example.azurecr.io/etl:2.4"
    entrypoint          = "" # the image has no program of its own before the command
    cpu                 = 2
    memory              = 4
    identities          = [local.identity]
    image_registry      = { registry_url = "example.azurecr.io", identity = local.identity }
    subnet_ids          = ["${local.group}/Microsoft.Network/virtualNetworks/flows/subnets/runs"]
    stream_output       = true
    labels              = { team = "data" }
  }
}
