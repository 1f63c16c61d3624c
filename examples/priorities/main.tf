# A pool with several queues in one order, which a variable gives.

terraform {
  required_providers {
    forebay = {
      source = "forebay/forebay"
    }
  }
}

variable "pool" {
  description = "Name of the work pool."
  type        = string
  default     = "priorities"
}

variable "queues" {
  description = "The queues beside the default one, those to be served first at the beginning."
  type        = list(string)
  default     = ["urgent", "daily"]

  validation {
    condition     = length(var.queues) == length(distinct(var.queues))
    error_message = "Each queue has one place."
  }
}

resource "forebay_work_pool" "this" {
  name = var.pool
  type = "process"
}

resource "forebay_work_queue" "this" {
  for_each = toset(var.queues)

  work_pool_name = forebay_work_pool.this.name
  name           = each.key
}

resource "forebay_work_queue_order" "this" {
  work_pool_name = forebay_work_pool.this.name
  queues         = [for name in concat(var.queues, ["default"]) : name]

  depends_on = [forebay_work_queue.this]
}

data "forebay_work_queues" "this" {
  work_pool_name = forebay_work_queue_order.this.work_pool_name
}

output "priorities" {
  description = "The priority of each queue."
  value       = { for queue in data.forebay_work_queues.this.work_queues : queue.name => queue.priority }
}
