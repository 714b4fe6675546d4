"""The anatomy of one model: every measure in one table, and ablations with their random controls."""

from interp.anatomy.ablation import Ablation, ablations
from interp.anatomy.table import anatomy

__all__ = ["Ablation", "ablations", "anatomy"]
