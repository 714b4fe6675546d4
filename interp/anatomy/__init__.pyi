from .ablation import Ablation as Ablation
from .ablation import ablations as ablations
from .table import anatomy as anatomy
