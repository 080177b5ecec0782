"""The shapes that stories have: beats one after another, each told by one of several lines.

An empty line among them means that the beat may be left out. Facts, in the letters of words.py:
N the hero, k its kind; F the friend, fk its kind; T the thing that the story is about; P the place;
S the spot where something is found; h someone wise who helps.
"""
import words

# How a story begins. All of them name the hero, its kind and the place.
OPEN = [
    "Once upon a time, there [was|lived] {a adj k} named {N}. {He} lived {prep} {a padj P}.",
    "Once upon a time, {prep} {a padj P}, there lived {a adj k} named {N}.",
    "Once upon a time, {a adj k} named {N} lived {prep} {a padj P}.",
    "Once upon a time, {N} the {k} lived {prep} {a padj P} with {his} old [mother|aunt|uncle].",
    "Once upon a time, there was {a k} [called|named] {N} who had {feat}. {He} lived {prep} {a padj P}.",
    "There was once {a adj k} named {N} who lived {prep} {a padj P}.",
    "There once lived {a k} [called|named] {N}, {prep} {a padj P} far from here.",
    "Long ago, {prep} {a padj P}, there lived {a adj k} named {N}.",
    "Long ago, {a k} named {N} [made|had] {his} home {prep} {a padj P}.",
    "{Prep} {a padj P} lived {a adj k} named {N}.",
    "{Prep} {a padj P}, there was {a k} named {N}. {He} had {feat} and a [good|warm|big] heart.",
    "{N} was {a adj k} who lived {prep} {a padj P}.",
    "{N} the {k} lived {prep} {a padj P}, where [every day was a little adventure|everybody knew everybody].",
    "This is the story of {N}, {a adj k} who lived {prep} {a padj P}.",
    "Not so long ago, {a adj k} named {N} lived {prep} {a padj P}.",
    "Far away, {prep} {a padj P}, lived {a adj k} named {N}.",
    "One [day|morning], {a adj k} named {N} came to live {prep} {a padj P}.",
    "Everyone {prep} the {P} knew {N}, the {adj} {k} with {feat}.",
    "In the days of kings and dragons, {a k} named {N} lived {prep} {a padj P}.",
    "Every [morning|evening], {N} the {k} took a walk {prep} the {P}.",
]
HABIT = [
    "",
    "",
    "",
    "{He} loved to {hab}.",
    "{N} [loved|liked] to {hab} and to {hab2}.",
    "[Every|Each] [morning|evening], {he} liked to {hab}.",
    "More than anything, {he} loved to {hab}.",
    "When the work was done, {he} liked to {hab}.",
    "{He} was happiest when {he} could {hab}.",
]
NIGHT = [
    "That night, {N} slept [very well|deeply|like a stone] in {his} {home}.",
    "[Then|And then] {N} went home to {his} {home} with a [light|happy|full] heart.",
    "When {N} [came|got] home to {his} {home}, the stars were [already |]out.",
]


def shape(name, things, *beats, colored=True):
    return {
        "name": name,
        "things": things,
        "colored": colored,
        "beats": [OPEN, HABIT] + [[b] if isinstance(b, str) else list(b) for b in beats],
    }


SHAPES = [
    shape(
        "lost",
        words.SMALL,
        [
            "{N} had {a col T} that {he} loved more than anything[ in the world|].",
            "{His} favorite thing was {a col T}[, a gift from {his} grandmother|, and {he} took it everywhere|].",
            "{He} never went anywhere without {his} {col T}.",
            "{His} {col T} was old, but {N} would not have traded it for a [castle|mountain of gold].",
        ],
        [
            "One [windy|busy|rainy|cold] [morning|day], the {T} was gone!",
            "One [day|afternoon], {he} looked for it and could not find it anywhere.",
            "But one [morning|evening], {he} came home and saw that the {T} was missing.",
            "Then one day {he} lost it. {He} did not know how or where.",
        ],
        [
            "{N} looked [in {his} {home}|behind the door], and then {he} looked again. There was no {T}.",
            "{He} searched [all morning|until noon|the whole {P}], but [there was no {T} to be seen|it was no use].",
            "{He} sat down and [cried a little|sighed]. \"Where can my {T} be?\" {he} said.",
            "\"My {T}! My poor {T}!\" cried {N}, and [a tear rolled down|{he} ran from place to place].",
        ],
        [
            "{A fk} named {F} heard {him} and came closer. \"What is wrong?\" [asked {F}|{fhe} asked].",
            "Just then, {a fadj fk} named {F} came by. \"Why are you so sad?\" {fhe} asked.",
            "{His} friend {F}, {a fadj fk}, saw {his} sad face. \"Do not worry,\" said {F}. \"I will help you.\"",
        ],
        [
            "\"I have lost my {T},\" said {N}. \"Then let us look for it together,\" said {F}.",
            "{N} told {fhim} everything. \"Two can look better than one,\" said {F}.",
            "\"Think,\" said {F}. \"Where did you have it last?\" {N} thought [hard|for a long time].",
        ],
        [
            "They looked high and low. At last, {S}, they found the {T}!",
            "They [walked|went] back the way {N} had come. And there, {S}, was the {T}.",
            "Together they [looked|searched] until the sun went down. Then {F} pointed. The {T} was {S}!",
            "\"Look there!\" {F} [cried|shouted] suddenly. Something {col} was {S}. It was the {T}!",
        ],
        [
            "{N} was so happy that {he} [danced|jumped up and down|laughed out loud]. \"Thank you, {F}!\" {he} said.",
            "{N} held the {T} [close|tight] and [thanked|hugged] {fhim}.",
            "\"You found it!\" cried {N}. \"You are a true friend.\"",
        ],
        [
            "From that day on, {N} [took good care of|always looked after] the {T}, and {he} and {F} were best friends.",
            "{N} never lost the {T} again. And if {he} did, {he} knew whom to ask.",
            "The {T} was [nice|good] to have, but a friend like {F} was [even|much] better.",
            *NIGHT,
        ],
    ),
    shape(
        "found",
        words.SMALL,
        [
            "One [sunny|foggy|quiet] morning, {N} found {a col T} {S}.",
            "One day, {he} saw something {col} {S}. It was {a T}!",
            "On [a warm spring|a cold autumn|a bright summer] day, {N} was walking along when {he} saw {a col T} {S}.",
        ],
        [
            "It was the [prettiest|finest] {T} {he} had ever seen. \"I wonder whose it is,\" {he} said.",
            "{He} picked it up and [looked at it from all sides|turned it around]. \"Someone must miss it,\" {he} thought.",
            "{N} wanted to keep it. But then {he} thought of the one who had lost it.",
        ],
        [
            "First {he} asked [an old|a busy] {h}. \"It is not mine,\" said the {h}. \"Ask {prep} the {P}.\"",
            "{He} asked the {h}, but the {h} did not know. \"I have never seen it before.\"",
            "{He} knocked on [every door|many doors], and {he} asked [everyone|everybody] {he} met. Nobody knew the {T}.",
            "",
        ],
        [
            "Then {he} heard someone crying. It was {a fadj fk} named {F}.",
            "At last {he} met {a fk} named {F}, who was looking [under|behind] every [stone|bush].",
            "In the evening, {a fadj fk} named {F} came down the road, and {fhe} looked very sad.",
        ],
        [
            "\"I have lost my {T},\" said {F}. \"Is it {col}?\" asked {N}.",
            "\"What are you looking for?\" asked {N}. \"For my {T},\" said {F}.",
            "\"Is this {T} yours?\" asked {N}. {F} looked up, and {fhis} eyes [grew wide|began to shine].",
        ],
        [
            "{N} gave {fhim} the {T}. {F} was so glad that {fhe} could not speak.",
            "\"Here it is,\" said {N}[ with a smile|]. \"Oh, thank you!\" cried {F}. \"My father made it for me.\"",
            "When {F} held the {T} again, {fhe} [laughed and cried at once|hugged {N} for a long time].",
        ],
        [
            "\"How can I thank you?\" asked {F}. \"Come and have [tea|supper] with me,\" said {N}. And so {fhe} did.",
            "{F} asked {N} to stay for supper, and they told each other stories until the moon came up.",
            "From then on, they met every day, and they were never lonely again.",
            "{N} had found {a T} and lost it again. But {he} had found a friend, and that was better.",
            *NIGHT,
        ],
    ),
    shape(
        "wish",
        words.SMALL + words.MUSIC,
        [
            "{N} had only one wish. {He} wished for {a T}.",
            "There was one thing {he} wanted more than anything: {a T}.",
            "All [year|winter] long, {N} dreamed of {a T}.",
        ],
        [
            "One night, {he} saw a falling star. \"Please, star,\" {he} [whispered|said], \"bring me {a T}.\"",
            "One evening, {he} threw a penny into the wishing well. \"{A T}, please,\" {he} whispered.",
            "One day, {he} helped an old {h} to carry wood. \"You may make a wish,\" said the {h}. \"{A T}!\" cried {N}.",
        ],
        [
            "In the morning, {a col T} lay [in front of the door|by {his} bed|on the doorstep].",
            "And when {he} woke up, there it was: {a col T}, [shining|waiting] in the morning light.",
            "The next day, the wind [blew|carried] {a col T} right to {his} feet.",
        ],
        [
            "{N} was so happy that {he} [sang all day|forgot {his} breakfast|danced around the room].",
            "{He} could hardly believe it. {He} [showed|carried] the {T} [to everyone|all around the {P}].",
            "At first {N} was [overjoyed|very happy]. But after a while, {he} noticed that {he} was alone with it.",
        ],
        [
            "Then {he} saw {a fadj fk} named {F}, who [sat alone by the road|had nothing to play with].",
            "On the way, {he} met {a fk} named {F}. {F} looked at the {T} and sighed.",
            "{A fk} named {F} watched from far away. \"I wish I had {a T} too,\" said {F}.",
        ],
        [
            "{N} thought about it. Then {he} said, \"We can share it.\"",
            "\"Would you like to hold it?\" asked {N}. {F} [nodded|smiled].",
            "\"Come here,\" said {N}. \"It is more fun with two.\"",
        ],
        [
            "So the two of them shared the {T}, and it [made them twice as happy|was the best day of the year].",
            "They played together until [evening|the stars came out], and both of them were happy.",
            "And {F} smiled so brightly that {N} forgot all about {his} wish.",
        ],
        [
            "{N} had wished for {a T}. But what {he} got was a friend.",
            "From then on, when {N} saw a falling star, {he} made a wish for somebody else.",
            "\"A wish is [nicer|better] when it is shared,\" said {N}. And {he} was right.",
            *NIGHT,
        ],
    ),
    shape(
        "contest",
        words.SMALL + words.MUSIC,
        [
            "Every [spring|summer|autumn], there was a great {prize} contest {prep} the {P}. The prize was {a col T}.",
            "One day, the {h} rang a bell. \"There will be a {prize} contest!\" said the {h}. \"The winner gets {a col T}!\"",
            "One morning, a sign stood {prep} the {P}. It said that the winner of the {prize} contest would get {a col T}.",
        ],
        [
            "{N} wanted to win [it|that {T}] very much, so {he} practiced [every day|from morning to night].",
            "\"I will try,\" said {N}, although {his} knees were shaking.",
            "Everybody thought that {a fk} named {F} would win. But {N} wanted to try, too.",
        ],
        [
            "On the big day, {N} stood next to {a fk} named {F}. {F} was [very proud|quick and strong], and {fhe} laughed at {him}.",
            "{A fadj fk} named {F} was the best of all. \"You have no chance,\" {F} told {him}.",
            "The day came, and [the sun was shining|flags were waving]. {N} was ready, and so was {F} the {fk}.",
        ],
        [
            "The contest began. {N} did {his} best, and {F} did, too.",
            "\"One, two, three!\" called the {h}. Everyone cheered.",
            "{N} was doing well. {He} was [almost|nearly] in front.",
        ],
        [
            "Suddenly {F} fell and hurt {fhis} foot. {N} stopped at once and helped {fhim} up.",
            "Then {F} got frightened and began to cry. {N} went over and [took {fhis} hand|spoke softly to {fhim}].",
            "But then {N} heard a cry. {F} was in trouble! {N} turned around and ran to help {fhim}.",
        ],
        [
            "\"Why did you do that?\" asked {F}. \"Now you cannot win.\" \"You needed help,\" said {N}.",
            "\"Thank you,\" said {F}[ quietly|]. \"I am sorry that I was not nice to you.\"",
            "{F} looked at the ground. \"You are kinder than I am,\" {fhe} said.",
        ],
        [
            "So neither of them came first. But the {h} gave the {T} to {N}, for the kindest heart.",
            "In the end, the {h} gave the {T} to both of them, and they shared it.",
            "{F} won after all. But {fhe} gave the {T} to {N}. \"You have earned it,\" said {F}.",
        ],
        [
            "And everyone {prep} the {P} cheered, the loudest of all for {N}.",
            "After that, {N} and {F} always practiced together.",
            "{N} still has the {T}. And {F} is still {his} friend.",
            *NIGHT,
        ],
    ),
    shape(
        "storm",
        words.RESCUE,
        [
            "One [evening|afternoon], the sky over the {P} turned black. \"A storm is coming,\" said the {h}.",
            "One autumn day, a great storm came. The wind howled and the trees bent low.",
            "It rained and rained. The water rose higher, and the wind grew stronger and stronger.",
        ],
        [
            "{N} closed the door of {his} {home} and [lit a candle|made some tea].",
            "{N} was [warm|safe] and dry at home, and {he} listened to the rain.",
            "Everyone ran home as fast as they could. {N} ran home, too.",
        ],
        [
            "Then {he} heard a small voice. \"Help! Help!\" it cried. It was {a fk} named {F}!",
            "But where was {a fadj fk} named {F}, who lived nearby? {N} looked out, and nobody was there.",
            "Suddenly there was a cry from outside. {A fadj fk} named {F} was out in the storm!",
        ],
        [
            "{N} was afraid. But {he} took {his} {T} and went out into the [rain|dark|wind].",
            "There was no time to lose. {N} grabbed {a T} and ran outside.",
            "\"I must help {fhim},\" said {N}. {He} found {a T} and opened the door.",
        ],
        [
            "{F} was holding on to a branch, and the water was all around {fhim}.",
            "{He} found {F} {S}, wet and [shivering|trembling].",
            "{F} sat {S} and did not dare to move.",
        ],
        [
            "\"Hold on to the {T}!\" called {N}. {He} pulled with all {his} might, and soon {F} was safe.",
            "With the help of the {T}, {he} [pulled|got] {fhim} out, and together they [ran|hurried] home.",
            "\"Take the {T} and do not let go!\" said {N}. Step by step, they made their way back.",
        ],
        [
            "They sat by the fire and [drank hot milk|ate warm soup|had tea with honey] until the storm was over.",
            "At home, {N} gave {fhim} a blanket and a bowl of soup. Outside, the thunder grumbled and went away.",
            "Soon they were dry and warm, and they [even |]laughed at the thunder.",
        ],
        [
            "The next morning, the sun was shining, and there was a rainbow over the {P}.",
            "\"You saved me,\" said {F}. \"I will never forget it.\" And {fhe} never did.",
            "After that, {N} was not afraid of storms any more. Neither was {F}.",
            "And since then, the {T} hangs by the door, just in case.",
        ],
        colored=False,
    ),
    shape(
        "newcomer",
        words.SMALL + words.FOOD,
        [
            "One day, {a fadj fk} named {F} moved in next door. {F} was so shy that {fhe} never said a word.",
            "One [spring|autumn] morning, someone new came to the {P}. It was {a fk} named {F}, with {ffeat}.",
            "Then {a fk} named {F} came to live nearby. But {F} always stayed inside and never came out.",
        ],
        [
            "The others whispered. \"Perhaps {F} does not like us,\" they said.",
            "\"Why does {F} never [play|talk] with us?\" asked the {h}. Nobody knew.",
            "{N} waved to {fhim} every day, but {F} only looked at the ground.",
        ],
        [
            "{N} remembered how it feels to be new. So {he} had an idea.",
            "\"Maybe {F} is only shy,\" thought {N}. \"I know how that is.\"",
            "{N} thought about it all night. In the morning, {he} knew what to do.",
        ],
        [
            "{He} took {a T}, put a ribbon around it and walked over to the new neighbor.",
            "{He} put {a T} in front of {fhis} door, with a note. \"Welcome,\" it said.",
            "{He} knocked at {fhis} door. \"I have brought you {a T},\" {he} said.",
        ],
        [
            "For a while, nothing happened. Then the door opened, just a little.",
            "Slowly, very slowly, the door opened, and {F} looked out.",
            "At first there was no answer. Then {N} heard small steps.",
        ],
        [
            "\"For me?\" asked {F} in a tiny voice. \"Nobody has ever given me {a T} before.\"",
            "\"Thank you for the {T},\" whispered {F}. \"I was afraid that nobody would like me.\"",
            "{F} looked at the {T} and began to smile. \"I did not know what to say to you all,\" {fhe} said.",
        ],
        [
            "\"You do not need to say anything,\" said {N}. \"You can just come and play.\"",
            "\"I like you,\" said {N}. \"Shall we go out together?\"",
            "So they sat down on the steps, and soon they were [talking and laughing|telling each other stories].",
        ],
        [
            "Before long, {F} knew everyone {prep} the {P}, and {fhe} was not shy any more.",
            "Now, whenever someone new comes to the {P}, {F} is the first to say hello.",
            "And {N} and {F} have been best friends ever since.",
            *NIGHT,
        ],
        colored=False,
    ),
    shape(
        "build",
        words.BUILD,
        [
            "{N} wanted to build {a T}. \"It will be the best {T} {prep} the {P},\" {he} said.",
            "One day, {he} had a grand idea. \"I am going to build {a T}!\"",
            "For a long time, {N} had dreamed of {a T}. So {he} [decided|made up {his} mind] to build one.",
        ],
        [
            "{He} found some old boards, a box of nails and a pot of paint.",
            "{He} drew a plan, [sharpened {his} pencil|rolled up {his} sleeves] and set to work.",
            "All morning, {he} [hammered and sawed|sawed and measured], and {he} did not ask anyone for help.",
        ],
        [
            "But when the {T} was ready, it [wobbled|creaked] and fell to pieces.",
            "But the {T} was crooked. Crash! Down it came.",
            "Nothing fit together, and in the end {N} sat in a heap of wood.",
        ],
        [
            "\"I will never be able to do it,\" said {N}[ sadly|], and {he} kicked a nail.",
            "{N} wanted to give up. {He} put {his} head in {his} hands.",
            "{He} tried again, and again it fell down.",
        ],
        [
            "{A fk} named {F} had been watching. \"May I help?\" {fhe} asked.",
            "Then {F} came by, {a fadj fk} who knew a lot about wood. \"Let me see your plan,\" said {F}.",
            "\"You need someone to hold the other end,\" said a voice. It was {a fadj fk} named {F}.",
        ],
        [
            "{F} held the boards, and {N} put in the nails, one after another.",
            "This time they measured everything twice. {F} sawed, and {N} hammered.",
            "They worked side by side for [three days|a whole week], and they sang while they worked.",
        ],
        [
            "At last the {T} was ready. It was {col}, and it did not wobble at all.",
            "And then it stood there: {a col T}, strong and straight.",
            "When it was done, they painted it {col}. What a wonderful {T} it was!",
        ],
        [
            "\"We did it!\" cried {N}. \"I could not have done it alone.\"",
            "Everyone {prep} the {P} came to see it, and {N} told them that {F} had helped.",
            "From then on, they built everything together. Next, they are going to build a ship.",
        ],
    ),
    shape(
        "mistake",
        words.SMALL,
        [
            "{N} owned {a col T}, and {he} was very proud of it.",
            "In {his} {home}, {N} kept {a col T}. Nobody else was allowed to touch it.",
            "For {his} birthday, {N} had been given {a col T}.",
        ],
        [
            "One day it was gone. \"Somebody has stolen my {T}!\" [cried|shouted] {N}.",
            "But one morning, the {T} was not in its place. \"A thief has been here!\" said {N}.",
        ],
        [
            "{He} had seen {a fadj fk} named {F} near the house. \"It must have been {F}!\" {he} thought.",
            "{A fk} named {F} had visited {him} the day before. \"{F} must have taken it,\" {he} thought.",
            "Then {a fk} named {F} walked by with a big bag. \"Aha!\" said {N}. \"My {T} is in there!\"",
        ],
        [
            "\"Give me back my {T}!\" {he} shouted. \"But I do not have it,\" said {F}, and {fhis} eyes filled with tears.",
            "{N} went to {fhim} and said some very unkind words. {F} did not understand, and {fhe} went away sadly.",
            "{He} did not say hello to {F} any more. {F} wondered what {fhe} had done wrong.",
        ],
        [
            "That evening, {N} was looking for {his} slippers. And what did {he} find {S}? It was the {T}!",
            "A few days later, {N} found the {T}. It was {S}, just where {he} had left it.",
            "Then the wind blew, and {N} saw something {col} {S}. It was {his} own {T}.",
        ],
        [
            "{N} felt very [small|bad]. {He} had been unfair to {his} friend.",
            "\"Oh dear,\" said {N}. \"I forgot it there myself. Poor {F}!\"",
            "{His} face turned red. \"{F} did not take it at all,\" {he} said.",
        ],
        [
            "{He} ran to {fhis} {fhome} and knocked at the door. \"I was wrong,\" {he} said. \"I am very sorry.\"",
            "{He} picked some flowers and went to see {F}. \"Please forgive me,\" {he} said.",
            "So {he} went straight to {F} and told {fhim} the truth. It was not easy.",
        ],
        [
            "{F} smiled. \"Everybody makes mistakes,\" {fhe} said. \"Come in, there is [cake|tea].\"",
            "\"I forgive you,\" said {F}. \"But next time, ask me first.\" {N} promised it.",
            "{F} hugged {him}, and then everything was good again.",
        ],
        [
            "Since that day, {N} always looks twice before {he} gets angry.",
            "And {N} let {fhim} play with the {T} as long as {fhe} liked.",
            *NIGHT,
        ],
    ),
    shape(
        "journey",
        words.SMALL,
        [
            "One day, {N} wanted to see what was on the other side of the {P}.",
            "One morning, {N} packed {his} bag. \"I am going to see the world,\" {he} said.",
            "{N} had heard that there was a place where the sky touches the sea. {He} wanted to see it.",
        ],
        [
            "{He} took some bread, some cheese and {his} {col T}.",
            "{His} mother gave {him} {a col T} for the journey. \"It will bring you luck,\" she said.",
            "{He} put {a col T} into {his} bag, for you never know, and off {he} went.",
        ],
        [
            "{He} walked over hills and through fields, and {he} slept under the stars.",
            "The road was long. On the first day {he} sang, and on the second day {his} feet hurt.",
            "After three days, {he} came to a crossing, and {he} did not know which way to go.",
        ],
        [
            "There {he} met {a fadj fk} named {F}. \"Where are you going?\" asked {F}. \"To the end of the world,\" said {N}.",
            "Under a tree sat {a fk} named {F}. \"May I come with you?\" {fhe} asked. \"It is dull to sit here.\"",
            "By the road, {he} found {a fk} named {F}, who was lost. \"Come with me,\" said {N}.",
        ],
        [
            "So they went on together, and the way [seemed|was] only half as long.",
            "They shared the bread and the cheese, and they took turns carrying the bag.",
            "{F} knew many songs, and {N} knew many stories, and so the time flew by.",
        ],
        [
            "One night, they lost the path in the fog. But the {T} helped them to find it again.",
            "They came to a deep river. With a little luck and the {T}, they got across.",
            "An old {h} stood in the way. {N} gave the {h} {his} {T}, and the {h} showed them a secret path.",
        ],
        [
            "And then they saw it. The sea lay before them, and the sky was full of light.",
            "At last they stood on top of the highest hill. The whole world lay at their feet.",
            "In the evening they came to the end of the road, and everything was gold and red. They did not say a word.",
        ],
        [
            "\"It was worth every step,\" said {N}. Then they turned around and went home together.",
            "They stayed until the moon rose. \"And now,\" said {N}, \"I would like to go home.\"",
            "\"The best part was the way,\" said {F}, and {N} thought so, too.",
        ],
        [
            "Now they sit {prep} the {P} and tell everyone about their journey.",
            "And every year, {N} and {F} set out again.",
            *NIGHT,
        ],
    ),
    shape(
        "promise",
        words.SMALL,
        [
            "One day, {a fk} named {F} gave {him} {a col T}. \"Please keep it for me until I come back,\" said {F}.",
            "{N} had borrowed {a col T} from {a fadj fk} named {F}. \"I will bring it back on Sunday,\" {he} promised.",
            "{His} friend {F}, {a fadj fk}, was ill and far from {his} {home}. \"I will bring you my {col T} tomorrow,\" {N} promised {fhim}.",
        ],
        [
            "\"I promise,\" {he} said. And {a k} keeps a promise.",
            "A promise is a promise. {N} wrote it on a piece of paper so that {he} would not forget.",
            "{N} put the {T} on the table, where {he} could see it.",
        ],
        [
            "But the next day, there was a fair {prep} the {P}, with music and [sweets|apple cake]. Everyone was going there.",
            "Then it began to snow. It snowed all night, and the snow was as high as the windows.",
            "But when the day came, {N} was very tired, and the bed was warm and soft.",
        ],
        [
            "\"Come with us!\" they called. {N} wanted to go. But then {he} saw the {T}.",
            "\"Nobody would be angry if I stayed,\" {he} thought. But then {he} thought of {F}, who was waiting.",
            "{He} closed {his} eyes for a moment. \"No,\" {he} said then. \"I have promised it.\"",
        ],
        [
            "So {he} [put on a warm coat|packed the {T} well] and set out for the {fhome} of {F}.",
            "{He} took the {T} under {his} arm and walked the whole long way.",
            "{He} walked and walked, and {he} held the {T} tight.",
        ],
        [
            "When {F} opened the door, {fhe} could not believe {fhis} eyes. \"You have come!\" cried {F}.",
            "{F} was sitting by the window. When {fhe} saw {him}, {fhis} whole face was shining.",
            "\"I knew that you would keep your promise,\" said {F}, and {fhe} gave {him} a hug.",
        ],
        [
            "They ate [apple pie|warm bread with honey] and looked at the {T} together.",
            "{F} made hot chocolate, and they talked until it was dark.",
            "\"You may keep the {T},\" said {F} when {N} wanted to leave. \"Nobody takes better care of it than you.\"",
        ],
        [
            "On the way home, {N} felt light and warm. It is good to keep a promise.",
            "And everyone {prep} the {P} knew: what {N} says, {N} does.",
            *NIGHT,
        ],
    ),
    shape(
        "gift",
        words.SEWN,
        [
            "{His} best friend was {F}, {a fadj fk}. And tomorrow was {fhis} birthday!",
            "Soon it would be the birthday of {F}, {a fadj fk}. {N} wanted to give {fhim} something beautiful.",
            "{A fk} named {F} was going to have a birthday, and {N} needed a gift.",
        ],
        [
            "In the shop, {he} saw {a T}, but it cost ten coins, and {N} had only one.",
            "{F} had always wanted {a T}. But {N} had no money at all.",
            "{He} counted {his} money. It was not enough for {a T}. It was not even enough for a button.",
        ],
        [
            "\"Then I will make one,\" {he} said. {He} worked all night by the light of a candle.",
            "\"You can make {a T} yourself,\" said an old {h}. \"I will show you how.\"",
            "So {N} found some {col} cloth and a bit of string, and {he} began to make {a T}.",
        ],
        [
            "It was not easy. {He} pricked {his} finger twice, and one side came out longer than the other.",
            "It took a long time, and {he} had to begin again three times.",
            "In the morning it was done: {a col T}. It was a bit crooked.",
        ],
        [
            "The next day, everyone brought big and shiny gifts. {N} hid the {T} behind {his} back.",
            "At the party, there were gifts as big as barrels. {N} looked at {his} small {T} and was ashamed.",
            "{N} came last. \"It is only {a T},\" {he} said softly. \"I made it myself.\"",
        ],
        [
            "{F} opened it and was quiet for a moment. \"You made this for me?\" {fhe} asked.",
            "But when {F} saw the {T}, {fhis} eyes began to shine.",
            "{F} held the {T} up to the light. \"It is the most beautiful of all,\" {fhe} said.",
        ],
        [
            "\"It is perfect,\" said {F}. \"It is the only one like it in the whole world.\"",
            "{F} did not put it down all day long.",
            "Then they [danced|ate cake] until late, and {N} was as happy as {F}.",
        ],
        [
            "To this day, the {T} has the best place in {fhis} {fhome}.",
            "A gift that comes from the heart is never too small.",
            "And {N}? {He} is already making the next one.",
            *NIGHT,
        ],
    ),
    shape(
        "afraid",
        words.SMALL,
        [
            "{N} was not afraid of many things. But {he} was afraid of {fear}.",
            "There was one thing that nobody knew: {N} was afraid of {fear}.",
            "But {he} was afraid of {fear}. When the others laughed about it, {he} pretended not to hear.",
        ],
        [
            "{His} friend {F}, {a fadj fk}, never laughed at {him}. \"Everyone is afraid of something,\" said {F}.",
            "Only {a fk} named {F} knew about it, and {F} kept the secret.",
            "\"I wish I were brave like {F} the {fk},\" {he} often thought.",
        ],
        [
            "One evening, {F} did not come home. {N} waited and waited.",
            "One day, {F} went out to look for {a T} and did not come back.",
            "Then, one night, {N} heard {F} calling for help from far away.",
        ],
        [
            "{N} had to go and look for {fhim}. {His} heart was beating fast.",
            "Somebody had to go. And nobody was there but {N}.",
            "{He} thought of {fear} and shivered. Then {he} thought of {F}.",
        ],
        [
            "{He} took {his} {col T} and held it tight. One step, and another, and another.",
            "With {a col T} in {his} hand, {he} set out. \"I am not afraid,\" {he} sang. \"I am not afraid.\"",
            "{He} closed {his} eyes, took a deep breath and went. The {col T} in {his} pocket made {him} feel better.",
        ],
        [
            "And there, {S}, sat {F}. \"I hurt my foot,\" said {F}. \"I was so scared!\"",
            "{He} found {F} {S}. \"You came!\" cried {F}. \"And you were not afraid?\"",
            "At last {he} saw {fhim}. {F} was {S} and could not get out.",
        ],
        [
            "\"I was afraid,\" said {N}. \"But you needed me.\" And together they walked home.",
            "{N} helped {fhim} up, and they went home arm in arm.",
            "\"Lean on me,\" said {N}. On the way back, {he} did not think of {fear} at all.",
        ],
        [
            "\"You are the bravest {k} I know,\" said {F}. And {N} blushed a little.",
            "To be brave does not mean that you are not afraid. {N} knew that now.",
            "{He} is still a bit afraid of {fear}. But now {he} knows that {he} can be brave, too.",
            *NIGHT,
        ],
    ),
    shape(
        "broken",
        words.BREAKABLE,
        [
            "One day, {he} visited {a fadj fk} named {F}, who owned a beautiful {col T}.",
            "{His} neighbor {F}, {a fadj fk}, had {a col T} and loved it dearly.",
            "{A fk} named {F} let {him} play with {fhis} {col T}. \"But be careful,\" said {F}.",
        ],
        [
            "When {F} was out of the room, {N} picked up the {T}. Crack! It broke in two.",
            "{N} only wanted to look at it. But it slipped and fell, and then it was broken.",
            "{N} turned around too fast and bumped into the table. Down fell the {T}, and it broke.",
        ],
        [
            "Nobody had seen it. {N} could have [run away|said nothing].",
            "{N} [hid|put] the {T} {S} and ran home. But {he} could not eat, and {he} could not sleep.",
            "\"The cat did it,\" {he} could say. \"Or the wind.\" {N} thought about it for a while.",
        ],
        [
            "Then {his} stomach began to hurt, and {he} knew what was right.",
            "Then {he} asked the old {h} what to do. \"The truth is heavy only until you say it,\" said the {h}.",
            "A lie grows and grows, though, and {N} did not want one in {his} {home}.",
        ],
        [
            "{He} went to {F}. \"I broke your {T},\" {he} said. \"I am so sorry.\"",
            "\"It was me,\" {he} told {F}, and {his} voice was shaking. \"I broke the {T}.\"",
            "So {he} took a deep breath and told {F} everything.",
        ],
        [
            "{F} was sad, but {fhe} was not angry. \"Thank you for telling me,\" {fhe} said.",
            "{F} was silent for a long time. Then {fhe} said, \"A friend who tells the truth is worth more than {a T}.\"",
            "\"I was angry for a moment,\" said {F}. \"But now I am glad that you told me.\"",
        ],
        [
            "They fetched some glue and a bit of wire and mended the {T} together.",
            "\"Perhaps we can mend it,\" said {F}. And they sat down together with glue and patience.",
            "{N} worked in the garden for {F} for a week, and with the money they had the {T} mended.",
        ],
        [
            "You can still see the crack. \"I like it even better now,\" says {F}.",
            "It looked almost like new, and {N} felt light as a feather.",
            "And their friendship was stronger than before. It did not have a single crack.",
            *NIGHT,
        ],
    ),
    shape(
        "share",
        words.FOOD,
        [
            "One [winter|cold] day, {N} had nothing left to eat but {a T}.",
            "{N} had [bought|saved] {a T}, and {he} was looking forward to it all day.",
            "One morning, {he} found {a T} on the doorstep, and it smelled wonderful.",
        ],
        [
            "{He} sat down {prep} the {P} and was about to begin.",
            "{He} put it on the table and [tied a napkin around {his} neck|rubbed {his} hands].",
            "\"How good it will taste!\" {he} said.",
        ],
        [
            "Then there was a knock. It was {a fadj fk} named {F}, and {fhe} looked hungry.",
            "Just then, {a fk} named {F} came along. {F} had not eaten for two days.",
            "But there stood {a fadj fk} named {F}. {F} did not say anything. {fHe} only looked at the {T}.",
        ],
        [
            "{N} looked at the {T}, and then at {F}, and then at the {T} again.",
            "It was not a big {T}. It was hardly enough for one.",
            "{N} swallowed. {He} was so hungry {himself}!",
        ],
        [
            "\"Sit down,\" {he} said then. \"Half of it is yours.\"",
            "\"I am not so hungry,\" said {N}, and {he} gave {fhim} the bigger half.",
            "{He} cut the {T} in two and gave one half to {F}.",
        ],
        [
            "They ate slowly, and strange to say, both of them had enough.",
            "{F} ate every crumb. \"That was the best {T} of my life,\" {fhe} said.",
            "And while they ate, {F} told {him} such funny stories that {N} forgot {his} hunger.",
        ],
        [
            "Many weeks later, {N} was ill and could not go out. Then there was a knock at the door.",
            "When spring came, {N} found a basket in front of {his} {home}. It was full to the brim.",
            "The next year, the harvest was bad, and {N} did not know what to do. But one day {F} came back.",
        ],
        [
            "It was from {F}. \"For the one who shared with me,\" said a little note.",
            "{F} had not forgotten. {fHe} brought {him} bread and cheese and {a T}, the biggest of all.",
            "\"You gave me half,\" said {F}. \"Now I bring you a whole one.\" And they sat down and shared it.",
        ],
        [
            "",
            "What you share comes back to you, sooner or later.",
            "Since then, there are always two plates on the table of {N}.",
        ],
        colored=False,
    ),
    shape(
        "seed",
        None,
        [
            "One day, an old {h} gave {him} a seed. \"Be patient with it,\" said the {h}.",
            "{N} found a tiny seed in the pocket of {his} coat.",
            "{N} traded {his} {col U} for a single seed. Everyone laughed at {him}.",
        ],
        [
            "{He} planted it {prep} the {P} and [gave it some water|watered it every evening].",
            "{He} made a little hole in the ground, put the seed inside and said good night to it.",
            "{He} planted it in the sunniest spot and put a small fence around it.",
        ],
        [
            "The first week, nothing happened. The second week, nothing happened.",
            "{N} waited. {He} looked in the morning, at noon and in the evening. There was only earth.",
            "It rained, and the sun shone, and nothing grew.",
        ],
        [
            "\"You are wasting your time,\" said {a fadj fk} named {F}. But {N} did not give up.",
            "{A fk} named {F} shook {fhis} head. \"Nothing will come of it,\" said {F}.",
            "\"Let us dig it up and look,\" said {a fadj fk} named {F}. \"No,\" said {N}. \"It needs time.\"",
        ],
        [
            "Then, one morning, there was a small green leaf!",
            "And one day in May, something green looked out of the ground.",
            "Then, after a warm rain, {N} saw a green tip, no bigger than a mouse's ear.",
        ],
        [
            "It grew and grew. It was {a seed}, and soon it was as tall as a house.",
            "Soon everyone could see what it was. It was {a seed}, the biggest that anyone had ever seen.",
            "Day by day it grew, and in summer it was the finest {seed} {prep} the {P}.",
        ],
        [
            "\"I was wrong,\" said {F}. \"Will you show me how you did it?\"",
            "{F} looked up at it with an open mouth. \"How did you do that?\" {fhe} asked. \"I waited,\" said {N}.",
            "Everyone came to look at it, and even {F} clapped.",
        ],
        [
            "{N} gave the first seed of it to {F}, and together they planted it.",
            "In autumn, {N} invited everyone to a feast under the {seed}.",
            "And now the whole {P} is full of them.",
            *NIGHT,
        ],
    ),
    shape(
        "music",
        words.MUSIC,
        [
            "One day, {he} found an old {T} {S}.",
            "{His} grandfather had left {him} {a T}. But {N} could not play it.",
            "More than anything, {N} wanted to learn to play the {T}.",
        ],
        [
            "{He} tried it at once. It sounded like a [sick goose|rusty door|cat on a hot roof].",
            "The first sound was so terrible that the birds flew out of the trees.",
            "{He} practiced every day, and every day the neighbors closed their windows.",
        ],
        [
            "\"Please stop!\" cried {a fk} named {F}, and {fhe} covered {fhis} ears.",
            "{A fadj fk} named {F} laughed until {fhe} had to sit down. \"You will never learn it,\" said {F}.",
            "\"What is that noise?\" asked {a fadj fk} named {F}. {N} turned red.",
        ],
        [
            "{N} was sad. So {he} went to a place where nobody could hear {him} and practiced there.",
            "But an old {h} said, \"Play one note until it is beautiful. Then play the next.\"",
            "{N} did not give up. {He} played to the moon, and the moon did not complain.",
        ],
        [
            "Weeks went by, and then months. One note became two, and two became a song.",
            "All winter long, {he} played, very softly at first.",
            "Little by little, it sounded better. One evening, a cricket began to sing along.",
        ],
        [
            "In spring, there was a big feast {prep} the {P}. But the musicians did not come.",
            "Then came the day of the feast, and nobody was there to make music.",
            "At the summer feast {prep} the {P}, it was much too quiet. \"Can nobody play?\" asked {F}.",
        ],
        [
            "{N} took {his} {T}, closed {his} eyes and began to play.",
            "So {N} stepped forward. {His} hands were shaking, but the song was clear and sweet.",
            "\"I can,\" said {N}. And then {he} played, and everything was still.",
        ],
        [
            "Everyone danced, and {F} danced the most. \"I am sorry that I laughed,\" {fhe} said.",
            "When the song was over, nobody spoke. Then all of them clapped and cheered.",
            "\"Was that really you?\" asked {F}. \"Please play it again!\" And {N} did.",
        ],
        [
            "Now there is music {prep} the {P} every evening.",
            "\"How did you learn it?\" they asked. \"One note at a time,\" said {N}.",
            *NIGHT,
        ],
        colored=False,
    ),
    shape(
        "treasure",
        words.SMALL,
        [
            "One rainy day, {N} found an old map {S}. There was a red cross on it.",
            "One day, a bottle with a map inside came floating along. \"Treasure!\" cried {N}.",
            "In an old book, {N} found a map of the {P}. In the middle there was a red cross.",
        ],
        [
            "{He} showed it to {a fadj fk} named {F}. \"Let us go and find it!\" said {F}.",
            "{A fk} named {F} wanted to come along. \"Two shovels are better than one,\" {fhe} said.",
            "\"I need someone who can read maps,\" {he} thought. So {he} asked {a fadj fk} named {F}.",
        ],
        [
            "They walked ten steps to the north and twenty to the east, just as the map said.",
            "They followed the map past three tall pines and around a big gray rock.",
            "Twice they went the wrong way, because {F} held the map upside down.",
        ],
        [
            "\"Here it must be!\" said {N}, and they began to dig. They dug and dug.",
            "They dug until their arms hurt. Then there was a clunk. It was a wooden box!",
            "At last they came to the red cross. Under the earth, they found a chest.",
        ],
        [
            "\"Gold!\" said {F}. \"Jewels!\" said {N}. Slowly, they opened it.",
            "They held their breath and opened the lid.",
            "The key was rusty, but it turned.",
        ],
        [
            "Inside lay {a col T} and a piece of paper.",
            "But there was no gold in it. There was only {a col T} and a letter.",
            "In it they found {a col T}, wrapped in soft paper.",
        ],
        [
            "\"Whoever finds this,\" they read, \"has a friend to dig with. That is the treasure.\"",
            "\"My dear finder,\" it said, \"this {T} made me happy when I was small. Now it is yours.\"",
            "First they were silent. Then they both began to laugh, and they could not stop.",
        ],
        [
            "They took turns with the {T}, one week {N} and one week {F}.",
            "And before they went home, they put something of their own into the chest, for the next one.",
            "\"This is better than gold,\" said {N}, and {F} nodded.",
            *NIGHT,
        ],
    ),
    shape(
        "small",
        words.SMALL,
        [
            "{N} was the smallest of all. \"You are too little,\" said the others, whatever {he} wanted to do.",
            "All the others were bigger and stronger. \"Wait until you grow,\" they told {N}.",
            "\"I am too small for everything,\" {N} often sighed.",
        ],
        [
            "{A fadj fk} named {F} was big and strong, and {fhe} could carry [two barrels|a whole tree].",
            "Most of all, {he} admired {F}, {a fk} with {ffeat}.",
            "{A fk} named {F} patted {him} on the head. \"Leave it to us,\" said {F}.",
        ],
        [
            "One day, the {col T} of {F} fell into a deep, narrow hole.",
            "Then the {T} that {F} loved rolled into a crack between two rocks.",
            "One morning, {F} dropped {fhis} {col T}, and it slid into a hollow tree.",
        ],
        [
            "{F} reached in, but {fhis} arm was too big. The {h} tried it with a stick. It was no use.",
            "They pulled and pushed, they shouted and scolded. The {T} stayed where it was.",
            "\"My {T} is gone forever,\" said {F}, and {fhe} began to cry.",
        ],
        [
            "\"Let me try,\" said a small voice. It was {N}.",
            "Then {N} stepped forward. \"I am small enough,\" {he} said.",
            "{N} took a candle. \"I will go in,\" {he} said.",
        ],
        [
            "{He} crept into the dark and felt {his} way, bit by bit.",
            "It was dark and damp inside, and something tickled {his} nose. But {N} went on.",
            "{He} made {himself} as thin as a pencil and slipped inside.",
        ],
        [
            "For a while they heard nothing. Then {N} came out again, with dust on {his} face and the {T} in {his} hands.",
            "\"I have it!\" called {N} from below. And out came the {T}, and then {N}.",
            "A moment later {he} was back, and {he} was holding the {T}.",
        ],
        [
            "\"Hurray for {N}!\" they all shouted. {F} lifted {him} up high.",
            "\"Nobody but you could have done that,\" said {F}.",
            "Nobody ever said again that {N} was too small.",
        ],
        [
            "",
            "And that night, {N} felt as tall as a tower.",
            "Everyone is just the right size for something.",
        ],
    ),
    shape(
        "noise",
        words.SMALL,
        [
            "One night, {N} was woken by {sound}.",
            "It was midnight. All was still, but then {N} heard {sound}.",
            "For three nights, {N} had heard {sound}, and {he} could not sleep.",
        ],
        [
            "\"Who is there?\" {he} called. Nobody answered.",
            "{He} pulled the blanket over {his} head. But there it was again!",
            "\"It is a monster,\" {he} thought. \"Or a ghost. Or a ghost of a monster.\"",
        ],
        [
            "{He} lit a candle, took {his} {col T} and tiptoed outside.",
            "In the end, {he} took {a col T} to defend {himself} and opened the door.",
            "With {a col T} in one hand and a lamp in the other, {he} followed the sound.",
        ],
        [
            "The moon was hiding, and every bush {prep} the {P} looked like a bear.",
            "The grass was wet, and an owl hooted. {N} shivered.",
            "Step by step, {he} came closer. The noise was coming from somewhere near.",
        ],
        [
            "And what did {he} see {S}? It was no monster. It was {a fadj fk} named {F}!",
            "{He} lifted the lamp. There, {S}, sat {a fadj fk}. \"Oh, good evening,\" said {F}, for that was the name.",
            "Something moved {S}. \"Do not hurt me!\" it cried. It was only {a fk} named {F}.",
        ],
        [
            "\"I could not sleep,\" said {F}. \"So I went out to look at the stars.\"",
            "\"I locked myself out,\" said {F}. \"And then I was afraid of the dark.\"",
            "\"I have a cold,\" said {F}, \"and I did not want to wake anybody.\"",
        ],
        [
            "{N} laughed out loud. \"And I was afraid of you!\"",
            "\"You frightened me,\" said {N}. \"You frightened me, too,\" said {F}. \"What did you want to do with that {T}?\"",
            "They looked at each other, and then at the {T}, and both began to giggle.",
        ],
        [
            "\"Come in,\" said {N}. \"I will make us some warm milk.\"",
            "They sat down side by side, and {N} showed {fhim} the brightest star.",
            "So they drank tea in the middle of the night, and it tasted better than by day.",
        ],
        [
            "Now when {N} hears a noise at night, {he} only smiles and puts the kettle on.",
            "Soon both were fast asleep, and this time there was no sound but the wind.",
            "Most monsters are like that, if you bring a light.",
        ],
    ),
    shape(
        "trade",
        words.SMALL,
        [
            "{N} had {a col U}, but what {he} really wanted was {a T}.",
            "One day, {N} saw {a T} in the window of a shop. But all {he} had was {a col U}.",
            "\"I would give anything for {a T},\" said {N}. But {he} owned nothing except {a col U}.",
        ],
        [
            "On the road, {he} met an old {h} who was cold and tired. \"What a fine {U},\" said the {h}.",
            "At the market, the {h} asked, \"Will you give me the {U} for a bag of nuts?\" And {N} did.",
            "{He} went from door to door, but nobody wanted {a U}.",
        ],
        [
            "Then {he} came to {a fadj fk} named {F}. {F} had {a T}, and {fhe} looked unhappy.",
            "In the afternoon, {he} saw {a fk} named {F} with {a T}.",
            "There sat {a fk} named {F}, with {ffeat}. And next to {fhim} lay {a T}!",
        ],
        [
            "\"I have no use for {a T},\" said {F}. \"I have always wanted {a U}.\"",
            "\"Would you trade your {T}?\" asked {N}. {F} thought for a while.",
            "\"Nobody plays with me,\" said {F}. \"What good is {a T} when you are alone?\"",
        ],
        [
            "\"What can I give you for it?\" asked {N}. \"A story,\" said {F}. \"Tell me a good story.\"",
            "\"You can have it,\" said {F}, \"if you come and visit me every Sunday.\"",
            "\"Take it,\" said {F}. \"But let me come and look at it sometimes.\"",
        ],
        [
            "So they shook hands, and {N} went home with the {T}.",
            "{N} was glad to say yes, for {he} liked {F} from the first moment.",
            "{N} agreed at once, and the bargain was made.",
        ],
        [
            "On Sunday, {N} came to see {F}, and {he} brought the {T} with {him}.",
            "The {T} was just as nice as {N} had hoped. But it was even nicer to be with {F}.",
            "They met again and again, and each time they had more to tell each other.",
        ],
        [
            "Everyone thinks that {N} made a good trade. \"The best of my life,\" says {N}, and {he} does not mean the {T}.",
            "In the end, the {T} belonged to both of them, and that was best.",
            "And so {N} had {a T} and a friend, all in one day.",
            *NIGHT,
        ],
    ),
    shape(
        "rescue",
        words.RESCUE,
        [
            "One day, {a fadj fk} named {F} [fell into a deep hole|slipped into the river|climbed too high and could not get down].",
            "One afternoon, {N} heard a cry. {A fk} named {F} had [fallen into an old well|got stuck in the mud].",
            "{His} friend {F}, {a fadj fk}, was in trouble. {F} was [stuck on a steep rock|sinking in the mud].",
        ],
        [
            "\"Help me!\" cried {F}. \"I cannot get out!\"",
            "Everyone came running. The {h} said, \"It is too dangerous.\"",
            "\"Stay calm!\" called {N}. \"I am coming!\"",
        ],
        [
            "{N} looked around. What could {he} do? Then {he} saw {a T}.",
            "\"What we need is {a T},\" said {N}, and {he} ran home to get one.",
            "{N} thought quickly. In {his} {home}, there was {a T}!",
        ],
        [
            "{He} held out the {T} as far as {he} could. \"Take hold of it!\" {he} called.",
            "{He} let the {T} down, slowly and carefully, until {F} could reach it.",
            "{He} tied the {T} to a tree and threw the other end to {F}.",
        ],
        [
            "{F} stretched and stretched. At last {fhe} could hold on to it.",
            "The first time {F} missed it. The second time {F} held on.",
            "\"I have it!\" called {F}. \"Now pull!\"",
        ],
        [
            "{He} pulled, the {h} pulled, and everyone else pulled, too. With a plop, {F} was free.",
            "{N} pulled with all {his} strength. And there was {F}, muddy from head to toe, but safe.",
            "Bit by bit, {F} came up. The {T} creaked, but it did not break.",
        ],
        [
            "\"You saved my life,\" said {F}. \"It was the {T},\" said {N}. \"No,\" said {F}, \"it was you.\"",
            "Everyone clapped. {N} turned red and did not know where to look.",
            "{F} was shaking, so {N} [put an arm around {fhim}|took {fhim} home] and made {fhim} a cup of tea.",
        ],
        [
            "From then on, the two were always together, and they stayed away from [deep holes|dangerous places].",
            "They hung the {T} over the door {prep} the {P}, and under it they wrote: thank you.",
            "And a year later, when {N} was in trouble, guess who came running? It was {F}.",
            *NIGHT,
        ],
        colored=False,
    ),
    shape(
        "sleepless",
        words.SMALL,
        [
            "One night, {N} could not sleep. {He} turned to the left, and {he} turned to the right.",
            "The moon was up, and everyone {prep} the {P} was asleep. Only {N} was wide awake.",
            "It was late, but {N} was not tired at all.",
        ],
        [
            "{He} counted [sheep|stars], and {he} came to one thousand. It did not help.",
            "{He} drank some milk, and {he} shook {his} pillow. It did not help.",
            "{He} closed one eye, and then the other, and then {he} opened both again.",
        ],
        [
            "So {he} put {his} {col T} under {his} arm and went out into the night.",
            "At last {he} got up, took {his} {col T} and went for a walk.",
            "Then {he} saw a light. Somebody else was awake, too! {He} took {his} {col T} and went to see.",
        ],
        [
            "{He} knocked at the door of {a fadj fk} named {F}. \"Can you not sleep?\" asked {F}. \"Neither can I.\"",
            "By the water sat {a fadj fk} named {F} and looked at the moon. \"Sit down with me,\" said {F}.",
            "It was {a fk} named {F}. \"How nice,\" said {F}. \"I was just wishing for company.\"",
        ],
        [
            "\"What do you do when you cannot sleep?\" asked {N}. \"I think of all the good things of the day,\" said {F}.",
            "\"What is that?\" asked {F}. \"My {T},\" said {N}. \"It is not good to be alone at night.\"",
            "They looked at the stars and gave them names. The brightest one they called the great {T}.",
        ],
        [
            "So they told each other what had been good. There was [the sunshine|the warm bread], and the {T}, and a friend.",
            "{F} began to sing, very softly, an old song about the sea.",
            "They talked about this and that, and their voices grew softer and slower.",
        ],
        [
            "{N} yawned. Then {F} yawned. Then the moon went behind a cloud.",
            "{N} wanted to say something, but {his} eyes were already closing.",
            "\"Good night, {F},\" murmured {N}. \"Good night, {N},\" said {F}.",
        ],
        [
            "And when the sun came up, they were both asleep, side by side, with the {T} between them.",
            "In the morning, somebody had put a blanket over the two of them. Nobody knows who it was.",
            "And now you know what helps when you cannot sleep.",
        ],
    ),
    shape(
        "letter",
        words.SMALL + words.FOOD,
        [
            "One morning, a letter came for {N}. It was the first letter of {his} life.",
            "One day, the wind brought a letter. On it stood, in wobbly letters, the name {N}.",
            "On Monday, there was a knock at the door. A letter had come for {N}.",
        ],
        [
            "\"Dear {N},\" it said, \"please come to me. I need your help. Bring {a T}. Yours, {F}.\"",
            "It was from {a fadj fk} named {F}. \"Come on Friday,\" {fhe} wrote, \"and bring {a T} with you.\"",
            "\"I have a secret,\" wrote {a fk} named {F}. \"If you want to know it, come soon, and bring {a T}.\"",
        ],
        [
            "\"{A T}?\" said {N}. \"What for?\" {He} was very curious.",
            "{N} read it three times. Then {he} began to look for {a T}.",
            "{N} did not have {a T}. So {he} asked the {h}, and the {h} lent {him} one.",
        ],
        [
            "{He} set out at once. The way led {him} past the mill and over the bridge.",
            "The next day, {he} put the {T} into a bag and went on {his} way.",
            "All the way, {he} tried to guess what it could be.",
        ],
        [
            "{F} was already waiting at the gate. \"Did you bring it?\" {fhe} asked. \"Here it is,\" said {N}.",
            "When {N} arrived, it was dark in {fhis} {fhome}, and nobody seemed to be there.",
            "{He} knocked. \"Come in!\" called many voices.",
        ],
        [
            "Then the lights went on. \"Surprise!\" All {his} friends from the {P} were there!",
            "The door flew open. Everyone was there, and they sang a song for {him}.",
            "And then {N} saw it: a long table with cakes and candles, and all {his} friends around it.",
        ],
        [
            "\"It is a feast for you,\" said {F}, \"because you always help everybody.\"",
            "\"Happy birthday!\" cried {F}. {N} had forgotten that it was {his} birthday.",
            "\"It is a party,\" said {F}, \"and the only thing that was missing was you.\"",
        ],
        [
            "\"And the {T}?\" asked {N}. \"We did not need it at all,\" said {F}. \"But you had to have a reason to come.\"",
            "\"But why did I have to bring {a T}?\" asked {N}. {F} laughed. \"Because we forgot to buy one.\"",
            "They put the {T} in the middle of the table, and everyone laughed.",
        ],
        ["They danced until the stars grew pale.", "{N} has kept the letter to this day.", *NIGHT],
        colored=False,
    ),
    shape(
        "winter",
        words.SMALL,
        [
            "Winter came early that year, and [the whole {P}|everything] was white with snow.",
            "One winter evening, it was so cold that even the stars seemed to shiver.",
            "The first snow fell, and {N} ran outside to catch the flakes.",
        ],
        [
            "{N} was wrapped in a warm blanket, and {his} {col T} lay beside {him}.",
            "In {his} {home}, it was warm, and {N} was busy with {his} {col T}.",
            "{N} carried {his} {col T} with {him}, for {he} had to go to the other end of the {P}.",
        ],
        [
            "Then {he} saw small tracks in the snow. They went around and around in a circle.",
            "Through the window, {he} saw somebody sitting in the snow.",
            "There was a shadow [beside the road|under a tree], and it did not move.",
        ],
        [
            "It was {a fadj fk} named {F}, who had no warm place to go.",
            "{He} went closer. It was {a fk} named {F}, and {fhis} nose was blue with cold.",
            "{A fadj fk} named {F} had lost {fhis} way and was very tired.",
        ],
        [
            "\"You must not stay here,\" said {N}. \"Come home with me.\"",
            "{N} did not think twice. {He} took {fhim} by the hand and led {fhim} to {his} {home}.",
            "\"My place is small,\" said {N}, \"but it is warm enough for two.\"",
        ],
        [
            "There was soup on the stove, and the fire was crackling.",
            "Soon {F} sat by the fire, with hot tea and a big spoon of honey.",
            "{N} gave {fhim} {his} {T}, too, and slowly {F} began to smile.",
        ],
        [
            "Outside, the snow fell and fell. Inside, they told each other stories.",
            "\"I have nothing to give you,\" said {F}. \"You can tell me a story,\" said {N}. And what a story it was!",
            "\"Why are you so good to me?\" asked {F}. \"Because it is winter,\" said {N}.",
        ],
        [
            "{F} stayed until spring. And when the first flowers came, {fhe} did not want to leave any more.",
            "When the snow melted, they were best friends.",
            "It was the coldest winter of all, but {N} remembers it as the warmest.",
            "Since that winter, there are two chairs by the fire.",
        ],
    ),
    shape(
        "invention",
        words.SMALL,
        [
            "One day, {N} looked at {his} {col T} and had an idea. \"I will make it fly!\"",
            "{N} had {a col T}, and {he} thought that it could be much better.",
            "\"{A T} that can sing,\" said {N}. \"That is what the world needs.\" {He} had {a col T} to begin with.",
        ],
        [
            "{He} took two springs, a wheel and a spoon and put everything together.",
            "{He} worked in secret for nine days, and strange sounds came from {his} {home}.",
            "{He} turned a screw here and a screw there, and smoke came out of the window.",
        ],
        [
            "{A fk} named {F} looked in at the window. \"That will never work,\" {fhe} said.",
            "\"What are you doing there?\" asked {a fadj fk} named {F}. \"You will see,\" said {N}.",
            "{His} friend {F}, {a fadj fk}, brought {him} soup. \"You forgot to eat,\" said {F}.",
        ],
        [
            "On the tenth day, everyone came to see it. {N} pulled a lever.",
            "Then the great moment came. {N} counted to three and pressed a button.",
            "\"Watch this!\" said {N}, and {he} wound it up.",
        ],
        [
            "The {T} hummed. It jumped three times. Then it ran away!",
            "There was a bang and a puff of {col2} smoke. The {T} shot up into the air!",
            "First nothing happened. Then the {T} began to dance, faster and faster, and it would not stop.",
        ],
        [
            "It raced [through|around] the whole {P}, and everyone ran after it.",
            "It knocked over a barrel, chased a goose and splashed into the water.",
            "\"Stop it!\" cried the {h}. \"I do not know how!\" cried {N}.",
        ],
        [
            "At last {F} caught it {S} and [sat down on it|held it tight].",
            "In the end, it stopped {S}. {F} carried it back. It was still humming a little.",
            "Only when {F} took out the spoon did it stand still.",
        ],
        [
            "Everybody was quiet. Then someone laughed, and soon the whole {P} was laughing.",
            "\"Well,\" said {F}, \"it did work, in a way.\" And {N} had to laugh.",
            "\"That was the best day of the year!\" said the {h}. \"Can you do it again?\"",
        ],
        [
            "{N} is already thinking about the next one. This time it will have brakes.",
            "The {T} is only {a T} again. But sometimes, at night, it hums.",
            "Since then, {F} always helps {him}, and somebody always stands by with a net.",
        ],
    ),
]

# Beats that a story can do without, counted from the first one after the opening and the habit.
_SPARE = {
    "lost": (2, 6),
    "found": (1,),
    "wish": (3, 6),
    "contest": (1, 3, 5),
    "storm": (1, 4, 6),
    "newcomer": (1, 4),
    "build": (3, 5),
    "mistake": (5,),
    "journey": (4, 7),
    "promise": (1, 6),
    "gift": (3, 6),
    "afraid": (3,),
    "broken": (3,),
    "share": (1, 3),
    "seed": (2,),
    "music": (4,),
    "treasure": (2,),
    "small": (3, 5),
    "noise": (1, 3),
    "trade": (1, 6),
    "rescue": (1, 4, 6),
    "sleepless": (1, 6),
    "letter": (2, 3),
    "winter": (6,),
    "invention": (1, 5),
}
for _shape in SHAPES:
    _shape["spare"] = {2 + _beat for _beat in _SPARE[_shape["name"]]}

BY_NAME = {s["name"]: s for s in SHAPES}
