"""The words that the texts are made of."""
import zlib
from collections import namedtuple

Kind = namedtuple("Kind", "group gender feature home")

PRONOUNS = {
    "m": ("he", "him", "his", "himself"),
    "f": ("she", "her", "her", "herself"),
    "n": ("it", "it", "its", "itself"),
}

_NAMES = {
    "f": """Lily Rosa Mia Clara Nell Ada Ivy Hazel Daisy Ruby Pearl Wren Tilda Greta Olive Maple Poppy
        Juno Freya Elsa Nora Flora Bella Luna Stella Molly Annie Betsy Dora Edith Fern Gwen Hilda Iris
        Josie Kate Lucy Mabel Nina Opal Penny Queenie Sally Tess Una Violet Willa Yara Zoe Amber Bonnie
        Cora Dilly Emma Heidi Inga Jenny Lotte Marta Nettie Rosie Sophie Tansy Wanda
        Anna Mary Sarah Laura Eva Alice Julia Maria Emily Hannah Grace Lea Nina Sara Susan Linda Helen Jane""",
    "m": """Tom Ben Oscar Felix Hugo Otto Milo Leo Max Jasper Bruno Rufus Barnaby Basil Casper Dexter
        Edgar Finn George Henry Igor Jack Karl Lars Martin Ned Oliver Peter Quentin Ralph Samuel Theo
        Ulf Victor Walter Yuri Alfie Bertie Charlie Digby Ernie Frank Gus Harvey Jonas Kit Louis Monty
        Noah Percy Robin Simon Toby Wilbur Arlo Boris Cedric Duncan Emil Fergus Gilbert Hector Albert
        John David Paul Mark Daniel Michael James Bob Jim Bill Joe Adam Luke Eric Alex Chris Sam Steve""",
    "n": "Bolt Dot Zip Puff Pip Glim Tik Nub Flick Dash Twinkle Wisp Spark Button Pebble Tock",
}
GENDER = {name: g for g, text in _NAMES.items() for name in text.split()}
NAMES = sorted(GENDER)

# kind: what it has, where it lives
_ANIMALS = """
fox: a bushy tail, den; bear: big soft paws, cave; rabbit: long ears, burrow; mouse: tiny whiskers, burrow
owl: large round eyes, hollow tree; hedgehog: a pointed nose, burrow; squirrel: a fluffy tail, hollow tree
badger: a striped face, den; otter: a shiny coat, den; beaver: strong teeth, lodge; frog: long legs, reed hut
toad: a bumpy back, mud hut; duck: wide orange feet, nest; goose: a long neck, nest; hen: soft brown feathers, coop
cat: bright green eyes, cottage; kitten: soft gray fur, basket; dog: floppy ears, kennel; puppy: a wagging tail, kennel
pony: a golden mane, stable; donkey: tall ears, stable; goat: a white beard, shed; lamb: curly wool, barn
cow: a kind face, barn; pig: a curly tail, barn; piglet: a pink nose, barn; mole: tiny eyes, burrow
deer: thin legs, thicket; wolf: thick gray fur, den; lion: a great mane, cave; tiger: black stripes, cave
elephant: a long trunk, clearing; giraffe: a very long neck, clearing; monkey: quick hands, treetop; zebra: neat stripes, clearing
camel: two humps, tent; panda: round black ears, bamboo hut; koala: fuzzy ears, treetop; kangaroo: strong legs, clearing
penguin: a round white belly, snow hut; seal: a smooth round head, rock; turtle: a green shell, log; tortoise: an old shell, greenhouse
snail: a curly shell, flowerpot; beetle: shiny wings, log; bee: soft stripes, hive; ant: six quick legs, anthill
ladybug: seven black spots, leaf house; spider: eight thin legs, attic; cricket: long green legs, chimney corner; sparrow: quick brown wings, nest
crow: shiny black feathers, nest; swan: snowy wings, nest; heron: long thin legs, nest; parrot: bright feathers, treetop
peacock: a splendid tail, garden; raccoon: a dark mask, hollow log; crab: two strong claws, sand house; bat: thin gray wings, attic
moth: dusty wings, attic; lizard: a quick tail, stone wall; magpie: black and white wings, nest; chipmunk: round cheeks, burrow
"""
_PEOPLE = """
baker: flour on both sleeves, house; miller: a dusty apron, mill; farmer: a straw hat, farmhouse; tailor: nimble fingers, shop
sailor: a sunny laugh, cabin; gardener: muddy boots, cottage; painter: paint on every finger, studio; carpenter: strong hands, workshop
potter: clay on both hands, workshop; weaver: quick fingers, cottage; shepherd: a long coat, hut; blacksmith: broad shoulders, forge
clockmaker: tiny glasses, workshop; cook: a tall white cap, kitchen; teacher: a warm voice, schoolhouse; librarian: a soft voice, house
knight: a dented helmet, tower; wizard: a pointed hat, tower; pirate: a gold tooth, ship; fiddler: a merry laugh, cottage
shoemaker: a leather apron, shop; beekeeper: a white veil, cottage; juggler: clever hands, wagon; explorer: worn boots, tent
inventor: wild hair, workshop; doctor: gentle hands, house; mail carrier: fast feet, house; toymaker: bright eyes, workshop
girl+f: two long braids, house; boy+m: messy hair, house; king+m: a crooked crown, castle; queen+f: a silver crown, castle
prince+m: a velvet coat, castle; princess+f: a blue gown, castle; grandmother+f: silver hair, cottage; grandfather+m: a long beard, cottage
"""
_MAGIC = """
dragon: glowing eyes, cave; giant: enormous feet, cave; fairy: glittering wings, flower house; elf: pointed ears, tree house
dwarf: a red beard, stone house; troll: a big round nose, cave; unicorn: a silver horn, glade; ghost: a quiet laugh, attic
gnome: a tall red cap, mushroom house; goblin: big yellow eyes, cave; scarecrow: straw in both sleeves, field
robot+n: two square feet, workshop; snowman+n: a carrot nose, yard; cloud+n: a soft round face, corner of the sky; star+n: a gentle glow, corner of the sky
teapot+n: a shiny lid, kitchen; lantern+n: a warm glow, window; toy train+n: four little wheels, toy shelf; teddy bear+n: one button eye, toy shelf
"""


def _kinds(text, group):
    out = {}
    for entry in text.replace("\n", ";").split(";"):
        if entry.strip():
            kind, rest = entry.strip().split(": ")
            feature, home = rest.rsplit(", ", 1)
            kind, _, gender = kind.partition("+")
            out[kind] = Kind(group, gender, feature, home)
    return out


KINDS = {**_kinds(_ANIMALS, "animal"), **_kinds(_PEOPLE, "person"), **_kinds(_MAGIC, "magic")}


# Words that texts name only when they are asked to, so that whatever is asked for can be told of.
MORE_KINDS = """dinosaur whale shark octopus dolphin walrus eagle hawk pelican flamingo ostrich turkey rooster chicken rat
hamster ferret weasel skunk moose buffalo horse bull leopard cheetah panther jaguar hyena gorilla hippo rhino crocodile
alligator snake iguana gecko salamander worm caterpillar butterfly dragonfly grasshopper firefly wasp scorpion lobster shrimp
starfish salmon goldfish platypus armadillo anteater sloth lemur reindeer llama alpaca yak bison emu toucan puffin seagull
pigeon dove raven canary woodpecker vampire zombie monster ogre sorcerer superhero ninja viking cowboy astronaut alien
detective spy thief judge lawyer dentist engineer scientist programmer student monk soldier captain emperor butler driver
pilot barber plumber firefighter policeman waiter singer dancer actor magician poet writer athlete nurse butcher hunter
woodcutter mermaid phoenix computer car bus truck tractor rocket tree flower potato banana tomato cactus sheep fish bird
man woman child baby mother father brother sister friend hero villain mayor neighbor chef guard""".split()
MORE_THINGS = [
    x.strip()
    for x in """pizza, hamburger, banana, strawberry, chocolate bar, donut, lemon, potato, tomato, bicycle, car, truck, bus, train, plane,
helicopter, rocket, spaceship, submarine, tractor, motorcycle, skateboard, computer, laptop, phone, camera, radio, television,
robot, piano, saxophone, sword, shield, helmet, bow, arrow, wand, magic wand, potion, diamond, ruby, emerald, pearl, chest,
tree, flower, rose, tulip, leaf, stick, stone, rock, brick, sofa, bed, desk, door, window, fork, knife, plate, bottle, glass,
pan, toothbrush, towel, comb, needle, shirt, dress, skirt, jacket, sweater, belt, tie, sandal, wheel, engine, battery,
magnet, microscope, globe, newspaper, stamp, envelope, ticket, card, football, racket, trophy, medal, parachute, tent, canoe,
anchor, fishing rod, hook, cage, nest, bone, dinosaur, teddy bear, snowball, snowflake, rainbow, cloud, moon, star, planet,
castle, ship, fish, cat, dog, bird, horse, dragon, toy, present, picture, painting, song, poem, secret, dream, garden, house,
stove, spell, cactus, mug, wheelbarrow, suitcase, wallet, calendar, statue, fountain, tunnel, carpet, sponge, shovel, saw,
nail, screw, wrench, pump, candy, lollipop, waffle, noodle, onion, pepper, lemon cake, stew, tea bag, sugar cube""".replace(
        "\n", " "
    ).split(
        ","
    )
]


def made_up_word(rng):
    """A word that there is not."""
    starts = (
        "b c d f g h k l m n p r s t v w z bl br cl dr fl gr pl sn st tr sh ch th gl sp".split()
    )
    ends = "n m r l b k p t x ng nk sh ck st rk ff zz".split()
    word = "".join(rng.choice(starts) + rng.choice("aeiou") for _ in range(rng.choice((1, 1, 2))))
    return word + rng.choice(ends + [""]) if len(word) > 3 else word + rng.choice(ends)


def kind(name):
    """What a kind is like; what is not in the tables has bright eyes and lives in a house."""
    gender_of = (
        "f"
        if name in ("woman", "mother", "sister", "mermaid")
        else "m"
        if name in ("man", "father", "brother", "policeman", "emperor", "monk")
        else ""
    )
    return KINDS.get(name) or Kind("other", gender_of, "bright eyes", "house")


def gender(name):
    """m, f or n; where a name is not in the tables, its letters decide."""
    return GENDER.get(name) or "mf"[zlib.crc32(name.encode()) % 2]


ADJECTIVES = """kind brave shy curious clever cheerful gentle quiet sleepy small young old friendly patient
lonely merry careful little proud busy dreamy honest playful stubborn thoughtful tiny funny polite hopeful""".split()

# place: the word that stands before it
_PLACES = {
    "in": "forest village meadow valley town garden orchard field jungle city swamp desert park market "
    "barnyard library bakery castle canyon cave museum",
    "on": "hill island farm mountain riverbank mountainside moor beach",
    "at": "harbor crossroads train station school zoo",
    "by": "river lake sea pond waterfall lighthouse old mill stone bridge brook",
}
_PHRASES = ("train station", "old mill", "stone bridge")
PLACES = {}
for _prep, _text in _PLACES.items():
    for _phrase in _PHRASES:
        _text = _text.replace(_phrase, _phrase.replace(" ", "_"))
    for _place in _text.split():
        PLACES[_place.replace("_", " ")] = _prep
PLACE_ADJECTIVES = """quiet green sunny misty small faraway lovely wide hidden peaceful busy snowy windy little
golden cozy distant""".split()

COLORS = """red blue green yellow purple orange white black golden silver pink brown gray striped spotted""".split()


def _list(text):
    return [x.strip() for x in text.replace("\n", " ").split(",") if x.strip()]


# What does not go together.
CLASHES = {
    ("adj", "old"): {
        "girl",
        "boy",
        "kitten",
        "puppy",
        "lamb",
        "piglet",
        "prince",
        "princess",
        "teddy bear",
    },
    ("adj", "young"): {"grandmother", "grandfather"},
    ("adj", "small"): {"giant", "elephant", "giraffe"},
    ("adj", "little"): {"giant", "elephant", "grandmother", "grandfather"},
    ("adj", "tiny"): {"giant", "elephant", "giraffe", "cow", "bear", "lion"},
}
PLACE_CLASHES = {
    ("desert", "green"),
    ("desert", "snowy"),
    ("jungle", "snowy"),
    ("canyon", "cozy"),
    ("sea", "small"),
    ("sea", "little"),
    ("museum", "snowy"),
    ("museum", "windy"),
    ("zoo", "hidden"),
    ("library", "windy"),
    ("library", "snowy"),
    ("bakery", "snowy"),
    ("bakery", "windy"),
    ("library", "misty"),
    ("bakery", "misty"),
    ("bakery", "wide"),
    ("crossroads", "cozy"),
}

# Things by what can be done with them.
SMALL = _list(
    """hat, scarf, coat, mitten, boot, shoe, button, key, bell, ball, book, map, letter, lamp, umbrella,
basket, bucket, spoon, cup, kettle, blanket, pillow, quilt, ribbon, ring, necklace, crown, coin, shell, marble,
feather, doll, puppet, toy boat, wagon, sled, brush, broom, compass, telescope, mirror, clock, watch, music box,
paintbrush, pencil, purse, bag, backpack, apron, glove, sock, cloak, cape, kite, drum, flute, whistle, fiddle,
candle, rope, box, vase, bowl, fan, flag, bracelet, notebook, thimble, balloon, spinning top, jar, pipe, hammer"""
)
FOOD = _list(
    """cake, pie, cookie, apple, orange, pear, pancake, loaf of bread, raspberry, chestnut,
pot of soup, dumpling, piece of cheese, biscuit, pretzel, carrot, pumpkin, melon, plum,
peach, muffin, egg, sandwich, bun, turnip"""
)
MUSIC = _list(
    """flute, drum, fiddle, harp, horn, whistle, trumpet, banjo, accordion, guitar, tambourine, violin"""
)
BUILD = _list(
    """boat, kite, tree house, bridge, raft, cart, birdhouse, swing, bench, sled, tower, windmill, wagon,
chair, table, lantern, fence, ladder, clock, snow fort, oven, well, flying machine, puppet stage"""
)
BREAKABLE = _list(
    """book, lamp, umbrella, basket, cup, doll, puppet, toy boat, wagon, sled, brush, broom, compass,
telescope, mirror, clock, watch, music box, paintbrush, kite, drum, flute, whistle, fiddle, box, vase, bowl, fan, necklace,
bracelet, spinning top, jar, pipe, crown, bucket, kettle"""
)
SEWN = _list(
    """hat, scarf, coat, mitten, doll, puppet, pillow, quilt, blanket, ribbon, purse, bag, backpack, apron, glove,
sock, cloak, cape, kite, flag, bracelet, necklace, fan"""
)
RESCUE = _list(
    "rope, ladder, scarf, blanket, broom, umbrella, ribbon, kite, sled, basket, cloak, wagon, net, pole"
)
THINGS = sorted(set(SMALL + FOOD + MUSIC + BUILD + RESCUE))

SPOTS = _list(
    """under the old bridge, behind the barn, under a pile of leaves, beside the well, on the windowsill,
in a hollow log, under a big mushroom, behind the garden gate, in a bird's nest, on top of the fence, under the bed,
at the edge of the pond, between two stones, in the tall grass, behind the waterfall, under the apple tree,
beside the mill wheel, on the lowest branch of an oak, in an empty barrel, behind the curtain, under the kitchen table,
next to the beehive, in the wheelbarrow, at the bottom of the stairs, on the roof of the shed, among the roses,
beneath the porch, inside an old boot, at the foot of the hill, behind the bakery, in a bed of moss, under a wooden bench"""
)
HABITS = _list(
    """count the stars, watch the clouds, hum little songs, tell jokes, drink warm tea, sit by the window and dream,
nap in the sun, collect smooth stones, dance in the rain, draw pictures in the sand, listen to old stories,
feed the birds, whistle old tunes, read by candlelight, look for shiny things, play hide and seek, grow sunflowers,
make up rhymes, jump over puddles, bake small cakes, write long letters, paint tiny pictures, sing to the moon,
ask questions, give names to the trees, follow the river, chase falling leaves, mend broken toys, sleep late,
take long walks, smell the flowers, wave to the boats"""
)
FEARS = _list(
    """the dark, thunder, deep water, high places, loud noises, the wind, strange shadows, the old well,
the tall trees, being alone, the long bridge, the empty house"""
)
PRIZES = _list("race, dance, singing, baking, kite, swimming, jumping, riddle, climbing, drawing")
SEEDS = _list(
    """pumpkin, sunflower, turnip, melon, rose, apple tree, bean, carrot, cabbage, cherry tree, tulip, plum tree"""
)
SOUNDS = _list(
    """a soft knocking, a long whistle, a strange humming, a tiny bell, a slow creaking, a quiet sobbing,
a funny snoring, a gentle tapping, a loud splash, a low rumble"""
)
HELPERS = _list(
    """owl, crow, turtle, goat, heron, toad, fisherman, shepherd, miller, beggar, peddler, donkey, raven,
traveler, snail, swan, hermit, sailor"""
)

TABLES = {
    "N": NAMES,
    "F": NAMES,
    "k": list(KINDS),
    "fk": list(KINDS),
    "adj": ADJECTIVES,
    "fadj": ADJECTIVES,
    "P": list(PLACES),
    "padj": PLACE_ADJECTIVES,
    "col": COLORS,
    "T": THINGS,
    "U": SMALL,
    "S": SPOTS,
    "hab": HABITS,
    "hab2": HABITS,
    "col2": COLORS,
    "fear": FEARS,
    "prize": PRIZES,
    "seed": SEEDS,
    "sound": SOUNDS,
    "h": HELPERS,
}
