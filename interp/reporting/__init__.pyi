from .assembly import Page as Page
from .assembly import Panel as Panel
from .assembly import page as page
from .study_source import study_report as study_report
from .write import report as report
