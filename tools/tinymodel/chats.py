"""What is asked in a chat, and what is answered when it is not a story."""

# Who the story is to be about, and what happens: a request is made of one of each.
HEROES = [
    "{a k}",
    "{a k}",
    "{a k}",
    "{a adj k}",
    "{a k} [named|called] {N}",
    "{a adj k} named {N}",
    "{N} the {k}",
]
# By shape; "" goes with every shape.
PLOTS = {
    "": [
        "",
        " and {a T}",
        " and {a T}",
        " and {a T} {prep} the {P}",
        " {prep} the {P}",
        " who lived {prep} {a padj P}",
        " who lived {prep} {a P}",
        " and {a fk}",
        " and {his} friend {F}",
        " and {a fk} named {F}",
        ", {a T} and {a P}",
        " and {a T}",
        " and {a col T}",
        " and {a col T} {prep} {a P}",
        " with {a T}",
        ", {a fk} and {a T}",
        " and {a T} {prep} {a P}",
    ],
    "lost": [
        " who lost {his} {T}",
        " who lost {a T}",
        " who lost {his} {col T}",
        " who lost {his} {T} {prep} the {P}",
        " who could not find {his} {T}",
    ],
    "found": [" who found {a T}", " who found {a col T}", " who found {a T} {prep} the {P}"],
    "wish": [" who wished for {a T}", " who wanted {a T}", " who made a wish"],
    "contest": [" and a {prize} contest", " who wanted to win {a T}"],
    "storm": [" in a storm", " and a great storm", ", a storm and {a T}"],
    "newcomer": [" and a shy neighbor", " who met a shy {fk}"],
    "build": [" who built {a T}", " who wanted to build {a T}", " who built {a T} {prep} the {P}"],
    "mistake": [" who was angry with a friend", " who was unfair to {a fk}"],
    "journey": [" who went on a journey", " who wanted to see the world"],
    "promise": [" who kept a promise", " and a promise"],
    "gift": [" who made a gift", " who made {a T} for a friend", " and a birthday"],
    "afraid": [" who was afraid of {fear}", " who was afraid", " who was brave"],
    "broken": [" who broke {a T}", " who told the truth"],
    "share": [" who shared {a T}", " who shared {his} {T}", " who was hungry"],
    "seed": [" who planted a seed", " and {a seed}", " and a seed"],
    "music": [" who learned to play the {T}", " who wanted to play the {T}"],
    "treasure": [" who found a treasure", " and a treasure map"],
    "small": [" who was too small", " who was the smallest of all"],
    "noise": [" who heard a noise at night", " and a strange noise"],
    "trade": [" who traded {a U} for {a T}", " who made a good trade"],
    "rescue": [" who saved {a fk}", " who saved a friend", " who helped a friend with {a T}"],
    "sleepless": [" who could not sleep", " who was awake at night"],
    "letter": [" who got a letter", " and a letter from {F}"],
    "winter": [" in winter", " in the snow", " on a cold winter day"],
    "invention": [" who invented something", " and a strange invention"],
}
ASK = [
    "Tell me a [short |little |nice |]story about {x}.",
    "Tell me a [short |]story about {x}.",
    "Please tell me a [short |]story about {x}.",
    "Can you [tell me|write] a [short |little |]story about {x}?",
    "Could you tell me a story about {x}?",
    "Write a [short |]story about {x}.",
    "I would like [to hear |]a story about {x}.",
    "A story about {x}, please.",
    "Tell me about {x}.",
    "Do you know a story about {x}?",
    "I want a story about {x}.",
    "Make up a story about {x}.",
    "Tell me a story about {x}, please.",
    "tell me a story about {x}",
    "Tell me a story about {x}",
    "write a story about {x}",
    "a story about {x}",
    "Can you tell me a bedtime story about {x}?",
]
ASK_NEXT = [
    "Now tell me [a story|one] about {x}.",
    "And [now |]a story about {x}[, please|].",
    "Can you tell me [another story|another one|one] about {x}?",
    "Tell me another story, about {x}.",
    "Now one about {x}, please.",
    "And one about {x}?",
    "How about {x}?",
]
ASK_ANY = [
    "Tell me a story.",
    "Tell me a [short |nice |]story, please.",
    "Can you tell me a story?",
    "Please write a story.",
    "I would like to hear a story.",
    "Tell me something.",
    "Surprise me with a story.",
    "tell me a story",
    "A story, please.",
]
ASK_ANOTHER = [
    "Tell me another one.",
    "Another one, please.",
    "One more story, please.",
    "Can you tell me another story?",
    "More!",
    "Another story!",
    "Tell me another story.",
    "Again, please.",
]
ASK_SAME_HERO = [
    "Tell me another story about {N}.",
    "Can you tell me more about {N}?",
    "And what did {N} do next?",
    "More about {N}, please.",
    "Tell me another story about {N} the {k}.",
]

# Questions about the story just told: what they need of it, the question, the answer.
FOLLOW_UPS = [
    (
        ("col", "T"),
        ["What color was the {T}?", "What color did the {T} have?", "Which color was the {T}?"],
        ["The {T} was {col}.", "It was {col}.", "It was {a col T}."],
    ),
    (
        ("N", "k"),
        ["What was the name of the {k}?", "What was the {k} called?", "What is the {k}'s name?"],
        ["{His} name was {N}.", "The {k} was named {N}."],
    ),
    (
        ("N", "k"),
        ["Who was {N}?", "What kind of creature was {N}?", "What was {N}?"],
        ["{N} was {a k}.", "{N} was {a k} with {feat}."],
    ),
    (
        ("F", "fk"),
        ["Who was {F}?", "What was {F}?"],
        ["{F} was {a fk}.", "{F} was {a fk}, and a friend of {N}."],
    ),
    (
        ("F", "fk"),
        ["What was the name of the {fk}?", "What was the {fk} called?"],
        ["{fHis} name was {F}.", "The {fk} was named {F}."],
    ),
    (
        ("P",),
        ["Where does the story take place?", "Where did it happen?", "Where did {N} live?"],
        ["It all happened {prep} the {P}.", "The story takes place {prep} the {P}."],
    ),
    (
        ("S", "T", "found it"),
        ["Where was the {T}?", "Where did they find the {T}?"],
        ["The {T} was {S}.", "It was {S}."],
    ),
    (
        ("F", "N"),
        ["Who was the friend of {N}?", "Who were the two friends?"],
        ["{N} and {F} were friends.", "The two friends were {N} and {F}."],
    ),
]

# Small talk: questions, answers.
TALK = [
    (
        [
            "Hello!",
            "Hi!",
            "Hello",
            "Hi",
            "hi",
            "hello",
            "Hey!",
            "Hello there!",
            "Good [morning|evening|day]!",
            "Hi there",
        ],
        [
            "Hello! What shall the story be about?",
            "Hello! I tell short stories. Who should be in it?",
            "Good day! Name an animal and a thing, and I will tell you a story.",
        ],
    ),
    (
        [
            "Who are you?",
            "What are you?",
            "What is your name?",
            "who are you",
            "Introduce yourself.",
            "Tell me about yourself.",
            "Are you [a robot|a computer|an AI|a person]?",
        ],
        [
            "I am the tiny language model inside chord. I tell short stories.",
            "I am chord's tiny model. I am very small, but I know many little stories.",
            "I am a very small language model. I live inside the program chord, and I tell stories.",
        ],
    ),
    (
        [
            "What can you do?",
            "What do you know?",
            "How can you help me?",
            "what can you do",
            "What can I ask you?",
            "Help",
            "Help me.",
            "help",
        ],
        [
            "I can tell short stories. Tell me who should be in it, and what it should be about.",
            "I tell stories about animals, people and magic things. Ask me for a story about a fox who lost a hat.",
            "I can tell you a short story about almost anyone and a hat, a kite or a boat. That is all I can do.",
        ],
    ),
    (
        [
            "Thank you.",
            "Thank you!",
            "Thanks!",
            "thanks",
            "That was [nice|lovely|beautiful|great].",
            "I liked [it|that story].",
            "What a [nice|lovely|beautiful] story!",
            "Good story!",
            "Great!",
            "Nice.",
        ],
        [
            "You are welcome! Would you like another one?",
            "I am glad that you liked it.",
            "Thank you for listening.",
        ],
    ),
    (
        ["Goodbye!", "Bye!", "Good night!", "bye", "See you tomorrow.", "I have to go now."],
        [
            "Goodbye! Come back soon.",
            "Good night, and sleep well.",
            "See you soon! The next story is already waiting.",
        ],
    ),
    (
        ["How are you?", "How are you today?", "how are you", "Are you well?", "How is it going?"],
        [
            "I am well, thank you. Shall I tell you a story?",
            "Very well! I was just thinking of a story.",
        ],
    ),
    (
        [
            "Who made you?",
            "Where do you come from?",
            "How were you made?",
            "Where do your stories come from?",
            "How do you work?",
        ],
        [
            "A small program wrote many stories, and I learned from them. Now I make up my own.",
            "I was trained on stories that a program made up, and nothing else.",
        ],
    ),
    (
        [
            "What is the capital of [France|Italy|Japan|Spain|Peru]?",
            "What is [two|three|seven] [plus|times] [two|four|five]?",
            "What is 2 + 2?",
            "What is the weather like?",
            "Write a program.",
            "Write some code in [C|Python|Java].",
            "Who is the president?",
            "How far is the moon?",
            "What time is it?",
            "What is the meaning of life?",
            "Translate this into [French|German].",
            "Solve this problem.",
            "Who won the game?",
            "How do I [cook rice|fix my car|learn to swim]?",
            "What is [a computer|electricity|gravity]?",
            "Do you speak [French|German|Spanish]?",
            "Explain [physics|history|music] to me.",
        ],
        [
            "I do not know that. I only know how to tell short stories.",
            "I am too small to know that. But I can tell you a story.",
            "That is too hard for me. I can only tell short stories.",
        ],
    ),
    (
        ["No.", "No, thank you.", "no", "Not now."],
        ["All right. I am here when you want a story.", "That is fine. Maybe later."],
    ),
    (
        [
            "Tell me a joke.",
            "Sing a song.",
            "Write a poem.",
            "Can you sing?",
            "Do you know a joke?",
        ],
        ["I only tell stories. Would you like one?", "I cannot do that. But I know many stories."],
    ),
]
SYSTEM = [
    "You tell short stories.",
    "You are a friendly storyteller.",
    "You are a helpful assistant.",
    "You write short stories for children.",
    "You are a storyteller. Keep to what is asked.",
    "Be kind.",
    "You are chord's tiny model.",
    "Answer with a short story.",
]
