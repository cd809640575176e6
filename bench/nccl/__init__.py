"""How fast collectives are: nccl-tests or torch.distributed, against what is published."""
