from .assembly import Page as Page
from .assembly import Panel as Panel
from .assembly import page as page
from .write import report as report
