"""The read models there are. Adding one: a module with its fold, its tables, a migration, and a line here."""

from projections.actions import Actions
from projections.component_health import ComponentHealth
from projections.contract import ReadModel
from projections.transition_history import TransitionHistory

READ_MODELS: tuple[ReadModel, ...] = (TransitionHistory(), ComponentHealth(), Actions())


def read_model(name: str) -> ReadModel:
    """The read model of this name.

    Raises:
        KeyError: there is none; the message lists those there are.
    """
    for model in READ_MODELS:
        if model.name == name:
            return model
    raise KeyError(f"no read model {name!r}; there are: {', '.join(model.name for model in READ_MODELS)}")
