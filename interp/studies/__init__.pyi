from .going import Tally as Tally
from .plan_files import read_plan as read_plan
from .study import Study as Study
from .study import open_study as open_study
from .study_plan import Point as Point
from .study_plan import StudyPlan as StudyPlan
from .vary import Axis as Axis
from .vary import read_axis as read_axis
