"""The systems that are compared, by what they are trained on."""

from dataclasses import dataclass


@dataclass(frozen=True)
class System:
    """Which pairs a system is trained on; one that is trained on nothing is the base model, prompted with examples."""

    genuine: bool
    synthetic: bool

    @property
    def trained(self) -> bool:
        """Whether there is an adapter."""
        return self.genuine or self.synthetic
