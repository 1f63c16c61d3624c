"""What Terraform can open for one command: values that no state and no plan keeps."""

from forebay_provider.ephemeral.block_data import BlockDataResource
from forebay_provider.ephemeral.worker_token import WorkerTokenResource

EPHEMERALS = (BlockDataResource, WorkerTokenResource)
