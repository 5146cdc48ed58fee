"""Sentences for synthetic speech, written for this project, and the texts that are made of them."""

from collections.abc import Mapping
from typing import Final

import numpy as np

SENTENCES: Final[Mapping[str, tuple[str, ...]]] = {
    "en-us": (
        "The big blue boat moved slowly past the old harbour before the morning wind came up.",
        "My mother bought five fresh apples and a bottle of milk from the shop above the river.",
        "Please show me the photograph of that village where your father used to live.",
        "We measured the problem twice, but nobody believed the numbers were possible.",
        "Why would a quiet woman keep such a heavy piano in the middle of the room?",
    ),
    "en-gb-x-rp": (
        "A little bit of butter makes the bitter batter better, as my baker always told me.",
        "On Thursday we should finish the seventh chapter and move the boxes upstairs.",
        "Everybody wanted to borrow the umbrella when the summer weather became wet.",
        "Five brave foxes jumped over the muddy fence and vanished from view.",
    ),
    "en-gb-scotland": (
        "Remember to bring warm clothes, because the path over the mountain may be frozen.",
        "The problem with brown paper bags is that they break when it rains.",
    ),
    "de": (
        "Am Montagmorgen bringt meine Mutter frische Brötchen und warme Milch vom Bäcker mit.",
        "Wir fahren über die Brücke, bevor der große Regen über das Tal kommt.",
        "Kannst du bitte das Fenster öffnen, damit wir die Vögel besser hören können?",
        "Viele Menschen glauben, dass der Fluss im Frühling besonders schön aussieht.",
    ),
    "fr": (
        "Ma petite maman préfère boire un bol de lait chaud avant de partir au bureau.",
        "Nous avons vu beaucoup de bateaux blancs devant le vieux port de la ville.",
        "Pourquoi veux-tu toujours ouvrir la fenêtre quand il fait froid dehors?",
        "Le boulanger vend du pain frais et des pommes mûres tous les samedis.",
    ),
    "es": (
        "Mi abuela prepara pan fresco y una sopa muy buena para toda la familia.",
        "Por la mañana bebemos café y hablamos de los problemas del pueblo.",
        "Los barcos blancos vuelven al puerto cuando empieza a soplar el viento.",
        "¿Puedes abrir la ventana para que podamos ver mejor la montaña?",
    ),
    "it": (
        "La mamma compra sempre il pane fresco e mezzo chilo di mele al mercato.",
        "Abbiamo visto una bella barca bianca passare davanti al vecchio porto.",
        "Vorrei sapere perché nessuno apre la finestra quando fa molto caldo.",
        "Il bambino beve un bicchiere di latte prima di andare a dormire.",
    ),
    "pt": (
        "Minha mãe comprou pão fresco, bolo de milho e um pouco de fruta na feira.",
        "Amanhã vamos passear de barco pelo rio, se o vento ficar mais fraco.",
        "Por que você sempre fecha a janela quando a gente começa a falar?",
    ),
    "pt-br": (
        "O menino bebeu um copo de água e foi brincar com a bola no campo.",
        "Precisamos de mais tempo para resolver esse problema tão bonito.",
    ),
    "nl": (
        "Mijn moeder koopt elke ochtend vers brood en een beetje boter bij de bakker.",
        "We varen met de boot over het meer voordat de storm boven het water komt.",
        "Waarom wil niemand het raam openen als het buiten zo mooi weer is?",
    ),
    "pl": (
        "Moja mama kupuje świeży chleb i mleko w małym sklepie obok biblioteki.",
        "Płyniemy łodzią po wielkim jeziorze, bo pogoda jest dzisiaj bardzo dobra.",
        "Proszę powiedzieć, dlaczego nikt nie otworzył okna w tym pokoju.",
    ),
    "ru": (
        "Моя бабушка купила белый хлеб, молоко и большие яблоки на базаре.",
        "Мы поплывём на лодке по реке, если ветер будет не слишком сильным.",
        "Почему вы не хотите открыть окно и посмотреть на красивый пруд?",
    ),
    "hu": (
        "A mama friss kenyeret és meleg tejet vesz a kis boltban minden reggel.",
        "Holnap hajóval megyünk a folyón, ha nem fúj nagyon erősen a szél.",
        "Miért nem nyitja ki senki az ablakot, amikor ilyen szép idő van?",
    ),
    "tr": (
        "Annem her sabah fırından taze ekmek ve bir şişe süt alır.",
        "Büyük beyaz vapur limandan yavaşça ayrılıp boğaza doğru gitti.",
        "Neden bu güzel havada kimse pencereyi açmak istemiyor?",
    ),
    "fi": (
        "Äiti ostaa joka aamu tuoretta leipää ja lämmintä maitoa pienestä kaupasta.",
        "Me menemme veneellä järven yli ennen kuin myrsky tulee.",
        "Miksi kukaan ei halua avata ikkunaa näin kauniina päivänä?",
    ),
    "id": (
        "Ibu membeli roti segar dan susu hangat di pasar kecil setiap pagi.",
        "Besok kami pergi naik perahu besar kalau anginnya tidak terlalu kuat.",
        "Mengapa tidak ada yang mau membuka pintu untuk melihat bunga itu?",
    ),
    "sw": (
        "Mama ananunua mkate mpya na maziwa kwenye duka dogo kila asubuhi.",
        "Kesho tutapanda boti kubwa kama upepo hautakuwa mkali sana.",
    ),
    "hi": (
        "मेरी माँ हर सुबह बाज़ार से ताज़ी रोटी और दूध लाती हैं।",
        "हम नाव में बैठकर नदी के पार जाएँगे अगर हवा तेज़ न हो।",
    ),
    "el": (
        "Η μητέρα μου αγοράζει φρέσκο ψωμί και γάλα από το μικρό μαγαζί.",
        "Αύριο θα πάμε με τη βάρκα στο νησί αν δεν φυσάει πολύ.",
    ),
    "cs": (
        "Moje maminka kupuje každé ráno čerstvý chléb a mléko v malém obchodě.",
        "Zítra poplujeme lodí po velkém jezeře, pokud nebude foukat silný vítr.",
        "Proč nikdo nechce otevřít okno, když je venku tak hezky?",
    ),
    "sv": (
        "Min mamma köper färskt bröd och varm mjölk i den lilla affären varje morgon.",
        "Vi åker båt över sjön innan ovädret kommer, om vinden inte blir för stark.",
        "Varför vill ingen öppna fönstret när det är så vackert väder?",
    ),
    "ro": (
        "Mama cumpără în fiecare dimineață pâine proaspătă și lapte de la piață.",
        "Mâine mergem cu barca pe lac dacă vântul nu bate prea puternic.",
    ),
}
"""Sentences of each language, by eSpeak NG's name."""

VAL_LANGUAGES: Final = ("cs", "sv", "ro")
"""Languages of validation clips; training clips never use them."""

VARIANTS: Final = (
    "", "m1", "m2", "m3", "m4", "m5", "m6", "m7", "m8", "f1", "f2", "f4", "f5", "klatt", "klatt2", "klatt4",
    "linda", "steph", "Andy", "Annie", "grandpa", "Alex", "Michael", "belinda", "john", "michel", "zac",
)  # fmt: skip
"""eSpeak NG's voice variants in training clips; empty is the language's own voice."""

VAL_VARIANTS: Final = ("f3", "Denis", "Alicia", "david")
"""Voice variants of validation clips; training clips never use them."""


def compose(language: str, random: np.random.Generator) -> str:
    """Returns a text of about six seconds: a sentence as written and one with its words shuffled, in random order."""
    sentences = SENTENCES[language]
    first, second = random.choice(len(sentences), 2)
    words = sentences[second].rstrip(".?।").split()
    random.shuffle(words)
    plain, shuffled = sentences[first], " ".join(words) + "."
    return f"{shuffled} {plain}" if random.random() < 0.5 else f"{plain} {shuffled}"
