from .ablation import Ablation as Ablation
from .ablation import ablations as ablations
from .published import beside_mainline as beside_mainline
from .source import known_weight_decay as known_weight_decay
from .table import anatomy as anatomy
