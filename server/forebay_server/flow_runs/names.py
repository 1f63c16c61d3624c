"""Two-word names for runs that came without one."""

import random

_FIRST_WORDS = (
    "amber autumn bold brisk bronze calm candid cedar civil clear cobalt cosmic crisp curious "
    "daring deft dusky eager early earnest fabled fair fleet fond frosty gentle gilded glad "
    "golden hardy hazel honest humble ivory jade jolly keen kind lively loyal lucid lunar "
    "maple mellow merry mild misty modest mossy neat nimble noble olive patient pearl placid "
    "polar proud quick quiet rapid ready rosy round rustic sandy scarlet serene sharp silent "
    "silver sleek snowy solar solid spruce stable steady still sturdy sunny supple sure swift "
    "tidy tranquil true upbeat velvet verdant vivid warm wide wild windy wise witty zesty"
)
_SECOND_WORDS = (
    "alder anchor arrow aspen badger bay beacon birch bittern bobcat bridge brook canyon "
    "cape comet condor coral cove crane creek curlew delta dingo dolphin dune eagle egret elm "
    "falcon fern finch fjord fox gannet garnet gecko glacier grove gull harbour hare harrier "
    "heron hill ibex ibis inlet island jackal jay kestrel kite lagoon lake lark linnet lynx "
    "magpie marten meadow merlin mesa moose moth newt oak orca oriole osprey otter owl "
    "pelican petrel pine plover prairie quail quartz raven reef ridge river robin sable "
    "shore shrike siskin sparrow spring stoat stork swallow tern thrush tiger trout tundra "
    "valley vole walnut warbler weasel willow wolf wren yak zebra"
)
_FIRST = _FIRST_WORDS.split()
_SECOND = _SECOND_WORDS.split()


def random_name() -> str:
    """A name such as `quiet-heron`; names of runs need not be unique."""
    return f"{random.choice(_FIRST)}-{random.choice(_SECOND)}"
