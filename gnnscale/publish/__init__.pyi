from .key_values import KeyValues as KeyValues
from .key_values import connect as connect
from .publication import NewTable as NewTable
from .publication import Publication as Publication
from .store import Store as Store
from .versions import State as State
