"""What Terraform can manage here."""

from forebay_provider.resources.work_pool import WorkPoolResource
from forebay_provider.resources.work_queue import WorkQueueResource

RESOURCES = (WorkPoolResource, WorkQueueResource)
