from .console import Bar as Bar
from .console import configure_logging as configure_logging
from .console import progress_bar as progress_bar
from .console import shown_logging as shown_logging
from .kept_store import kept_store as kept_store
from .runs import Run as Run
from .runs import last_run as last_run
from .runs import start_run as start_run
