"""Word lists and random values that the samples are filled with."""

FIRST_NAMES = """
Anna Ben Carla David Elena Felix Greta Hugo Ines Jonas Karin Leo Marta Nils Olga Paul Rosa Sven
Tina Ulf Vera Willem Yara Zoe Adam Bella Cem Dora Emil Fatima Georg Hana Ivan Julia Kofi Lena
Milan Nora Omar Petra Ravi Sara Tomas Una Victor Wanda Amir Clara Diego Edith
""".split()
LAST_NAMES = """
Keller Novak Berg Rossi Silva Weber Larsen Moreau Costa Fischer Jansen Kowalski Lindqvist Marino
Okafor Petrov Quist Romano Schmidt Tanaka Urban Vogel Wagner Young Zeman Adler Brandt Castro
Duarte Eriksen Fontana Gruber Haas Ivanov
""".split()
CITIES = """
Oslo Bergen Berlin Bremen Paris Lyon Rome Milan Turin Madrid Seville Lisbon Porto Vienna Graz
Zurich Basel Prague Brno Warsaw Gdansk Kyiv Riga Vilnius Tallinn Helsinki Turku Malmo Uppsala
Aarhus Dublin Cork Leeds York Bristol Athens Sofia Zagreb Split Ghent Antwerp Utrecht Tokyo Osaka
Cairo Lima Boston Denver Toronto Sydney
""".split()
JOBS = """
nurse teacher baker pilot farmer lawyer plumber welder chemist driver carpenter gardener painter
librarian engineer dentist tailor butcher editor surveyor
""".split()
DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
TOPICS = """
budget hiring safety roadmap training logistics marketing release audit inventory design
maintenance security onboarding pricing strategy
""".split()
ROOMS = """
kitchen garage cellar attic hall office workshop lobby bedroom bathroom library laboratory
warehouse canteen greenhouse stable
""".split()
ITEMS = """
bolts screws lamps cables batteries filters hinges brackets pipes valves bricks tiles nails wheels
ropes buckets crates bottles pencils apples chairs boxes coins books
""".split()
SENSORS = """
boiler pump fan tank motor compressor chiller turbine oven freezer furnace condenser mixer
conveyor gearbox inverter battery heater reactor silo dryer press generator radiator
""".split()
SITES = "north south east west central harbor hilltop riverside airport depot".split()
SEVERITIES = "low medium high critical".split()

CONSONANTS = "b d f g k l m n p r s t v z".split()
VOWELS = "a e i o u".split()
CODAS = ["", "", "n", "r", "l", "s", "m", "x"]


def pseudo_word(rng, syllables=None):
    """A pronounceable word of no language, such as "tavorin"."""
    count = syllables or rng.choice((2, 2, 3))
    return "".join(
        rng.choice(CONSONANTS) + rng.choice(VOWELS) + (rng.choice(CODAS) if i == count - 1 else "")
        for i in range(count)
    )


def first_name(rng):
    return rng.choice(FIRST_NAMES) if rng.random() < 0.8 else pseudo_word(rng).capitalize()


def full_name(rng):
    last = rng.choice(LAST_NAMES) if rng.random() < 0.8 else pseudo_word(rng).capitalize()
    return f"{first_name(rng)} {last}"


def city(rng):
    return rng.choice(CITIES) if rng.random() < 0.8 else pseudo_word(rng).capitalize()


def thing(rng, words, made_up=0.08):
    """One of the words, or now and then one that was never heard."""
    return pseudo_word(rng) if rng.random() < made_up else rng.choice(words)


def things(rng, words, count, made_up=0.08):
    """As many different ones."""
    chosen = []
    while len(chosen) < count:
        word = thing(rng, words, made_up)
        if word not in chosen:
            chosen.append(word)
    return chosen


def serial(rng):
    letters = "ABCDEFGHKLMNPRSTUVWXZ"
    return f"{rng.choice(letters)}{rng.choice(letters)}-{rng.randint(10, 999)}"


def clock(rng):
    return f"{rng.randint(7, 20)}:{rng.choice(('00', '15', '30', '45'))}"


def join(words):
    """a, b and c"""
    return words[0] if len(words) == 1 else ", ".join(words[:-1]) + " and " + words[-1]
