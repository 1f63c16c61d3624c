"""What Terraform can open for one command: values that no state and no plan keeps."""

from forebay_provider.ephemeral.block_data import BlockDataResource

EPHEMERALS = (BlockDataResource,)
