"""The words of the sample pages: made-up people, places and sentences, combined at random.

Every function takes the random generator of the document, so that one seed gives one text.
Nothing here is copied from a real register or letter.
"""

GIVEN = """Adèle Agathe Aimé Albert Alphonse Anaïs André Angèle Anselme Béatrice Benoît Blanche Camille Cécile
Céleste Charles Clémence Damien Delphine Édouard Élisabeth Éloïse Émile Étienne Eugénie Fabien Félix Florence
François Gaëtan Geneviève Germaine Gérard Grégoire Guillaume Hélène Honoré Irène Jérôme Joël Joséphine Jules
Laurent Léa Léon Louise Lucien Madeleine Marcel Margaux Mathilde Maurice Noël Odile Pascal Philomène Raphaël
Régis Rémi Rosalie Séraphin Solange Sylvain Théodore Thérèse Ursule Valérie Victor Yolande Zoé""".split()

FAMILY = """Arsenault Aubépin Beaupré Bellerive Boisclair Bonsecours Brûlé Castonguay Chantelain Clairval Corbeil
Courtemarche Dufresnoy Durocher Échaloux Fontanelle Forestier Gadouas Garneville Grandpré Hautbois Jolivet Labrèche
Lachance Lafeuillée Lamontée Larivoire Lavigueur Lécuyer Létourneux Longchamps Maisonfort Malépart Marcheterre
Montclair Mûrier Neuville Ouimette Pellerinet Petitbois Pinsonneau Portelance Quesnoy Rainval Rivardin Rochefleur
Sansregret Sauvageon Séguinot Taillefer Tranchemont Trottereau Vadeboncœur Valmorin Verdelet Villandré""".split()

COMPANIES = ["Caisse de Clairval", "Banque du Fleuve", "Crédit foncier Lavaltrie", "Scierie Hautbois inc.",
             "Ville de Montfort", "Fabrique Sainte-Odile", "Succession Grandpré", "Prêts Rivardin ltée",
             "Compagnie du Canal", "Fiducie Bellerive", "Électricité du Nord", "Coopérative agricole"]

TOWNS = ["Sainte-Odile", "Clairval", "Montfort-sur-Mer", "Saint-Rémi-des-Bois", "Grande-Baie", "Lac-à-l'Épaule",
         "Notre-Dame-du-Gué", "Rivière-aux-Ormes", "Beauchesne", "Pointe-Fauvel", "Val-Émeraude", "L'Anse-Grise"]

DISTRICTS = ["Beauchesne", "Clairval", "Montfort", "Haute-Rive", "Grande-Baie", "Val-Émeraude", "Deux-Rivières"]

CADASTRES = ["paroisse de Sainte-Odile", "canton de Fauvel", "village de Clairval", "ville de Montfort",
             "paroisse de Saint-Rémi", "seigneurie de l'Épaule", "canton de Haute-Rive", "quartier des Ormes"]

NATURES = ["vente", "hypothèque", "radiation", "servitude", "quittance", "donation", "échange", "bail", "avis",
           "testament", "cession", "préavis", "saisie", "mainlevée", "déclaration", "usufruit", "partage",
           "hypothèque légale", "cession de rang", "droit de passage", "servitude de vue", "vente partielle",
           "quittance partielle", "avis d'adresse", "contrat de mariage", "bail emphytéotique"]

REMARKS = ["partie du lot", "voir feuille {n}", "moitié indivise", "avec garantie légale", "sauf servitude",
           "rang cédé", "solde dû", "annule {p}", "prix : {m} $", "ptie nord-est", "avec bâtisse", "corrigé",
           "réf. {p}", "en vigueur", "lot {l}", "terme : {n} ans", "montant : {m} $", "aussi au lot {l}"]

MONTHS = ["janvier", "février", "mars", "avril", "mai", "juin", "juillet", "août", "septembre", "octobre",
          "novembre", "décembre"]

STREETS = ["rue des Tisserands", "chemin du Moulin", "rue de l'Église", "avenue des Érables", "rang Saint-Joseph",
           "côte des Pêcheurs", "rue du Vieux-Quai", "boulevard Hautbois", "place de la Fontaine"]

SENTENCES = [
    "Nous avons bien reçu votre lettre du {date} et nous vous en remercions.",
    "L'acte de vente du lot {lot} a été publié sous le numéro {num}.",
    "Le vendeur déclare que l'immeuble est libre de toute hypothèque, sauf celle qui figure au registre.",
    "Le prix convenu est de {montant} dollars, dont la moitié est payable à la signature.",
    "Une servitude de passage grève la partie nord du terrain depuis le {date}.",
    "Le certificat de localisation montre que la clôture empiète d'un demi-mètre sur le lot voisin.",
    "Nous vous prions de vérifier si la quittance de {nom} a été déposée au bureau de {ville}.",
    "À défaut de réponse avant le {date}, nous tiendrons la demande pour abandonnée.",
    "Le notaire {nom} conserve la minute de cet acte dans son étude de {ville}.",
    "Les taxes municipales de l'année courante ont été acquittées en deux versements égaux.",
    "L'acheteur prendra possession des lieux dès que le solde aura été versé.",
    "Le plan joint à la présente indique les bornes posées par l'arpenteur.",
    "Aucune des parties ne s'oppose à ce que la radiation soit inscrite sans délai.",
    "Le lot {lot} touche à la rivière sur une longueur de quatre-vingts pieds.",
    "La créance de {montant} dollars porte intérêt au taux de cinq pour cent l'an.",
    "Il reste à établir qui devait entretenir le fossé mitoyen et le petit pont de bois.",
    "Madame {nom} a hérité de cette terre par le testament reçu le {date}.",
    "Le bail prévoit que le locataire répare à ses frais la toiture de la grange.",
    "Nous joignons trois copies certifiées ainsi que le reçu des droits d'enregistrement.",
    "Le registre ne mentionne aucun avis d'adresse pour la période demandée.",
    "Monsieur {nom} affirme avoir signé la mainlevée devant deux témoins à {ville}.",
    "La différence de superficie entre le titre et le plan n'excède pas deux pour cent.",
    "Votre client pourra consulter l'original à nos bureaux, du lundi au jeudi, avant seize heures.",
    "Le droit de puiser de l'eau à la source a été réservé en faveur du fonds dominant.",
    "Cette inscription remplace celle du {date}, qui contenait une erreur de prénom.",
    "La maison, la remise et le verger font partie de la vente; le bétail en est exclu.",
    "L'hypothèque publiée sous le numéro {num} garantit aussi les frais de recouvrement.",
    "Le conseil de {ville} a autorisé l'échange à sa séance du {date}.",
    "Nous avons relevé une rature à la troisième ligne, sans paraphe dans la marge.",
    "Le mandataire avait reçu pouvoir de vendre, mais non celui d'emprunter.",
    "Si la chaîne des titres est complète, le dossier pourra être fermé ce mois-ci.",
    "Les héritiers ont renoncé à la succession, à l'exception de {nom}.",
    "Le chemin d'accès, large de six mètres, demeure commun aux lots {lot} et {lot}.",
    "Une copie du contrat de mariage a été déposée avec la déclaration de transmission.",
    "Le créancier consent à céder son rang en faveur du prêteur de {ville}.",
    "L'arpenteur a trouvé les anciennes bornes sous la neige et les a remplacées.",
    "Nous regrettons le retard, causé par la recherche de l'acte numéro {num}.",
    "Le paiement a été fait par traite bancaire le {date}, contre reçu.",
    "Les bornes de fer ont été vues en place, sauf celle de l'angle sud-ouest.",
    "Le propriétaire du moulin conserve le droit d'inonder la prairie au printemps.",
    "Aucune construction ne pourra être élevée à moins de dix pieds de la ligne séparative.",
    "Le montant réclamé, soit {montant} dollars, comprend les intérêts échus.",
    "La désignation de l'immeuble doit reprendre le numéro du cadastre rénové.",
    "Nous attendons encore la signature de {nom}, absent de {ville} jusqu'au {date}.",
]

OPENINGS = ["Monsieur,", "Madame,", "Maître,", "Cher confrère,", "Madame, Monsieur,"]

CLOSINGS = ["Veuillez agréer, Madame, Monsieur, nos salutations distinguées.",
            "Recevez, cher Maître, l'expression de nos meilleurs sentiments.",
            "Nous vous prions d'agréer l'assurance de notre considération.",
            "Dans l'attente de votre réponse, nous demeurons vos dévoués."]


def person(rng):
    return f"{rng.choice(GIVEN)} {rng.choice(FAMILY)}"


def party(rng):
    """One or two parties to an act; long ones wrap in their cell."""
    kind = rng.random()
    if kind < 0.35:
        return f"{rng.choice(FAMILY)}, {rng.choice(GIVEN)}"
    if kind < 0.75:
        return f"{person(rng)} à {person(rng)}"
    if kind < 0.9:
        return f"{person(rng)} à {rng.choice(COMPANIES)}"
    return rng.choice(COMPANIES)


def number(rng):
    return f"{rng.randint(10, 989)} {rng.randint(0, 999):03d}"


def lot(rng):
    kind = rng.random()
    if kind < 0.4:
        return f"{rng.randint(1, 6)} {rng.randint(100, 999)} {rng.randint(100, 999)}"
    if kind < 0.8:
        return f"{rng.randint(11, 899)}-{rng.randint(1, 48)}"
    return f"P-{rng.randint(12, 640)}"


def date(rng, style):
    year, month, day = rng.randint(1921, 1994), rng.randint(1, 12), rng.randint(1, 28)
    if style == "iso":
        return f"{year}-{month:02d}-{day:02d}"
    if style == "dmy":
        return f"{day:02d}-{month:02d}-{year}"
    return f"{day if day > 1 else '1er'} {MONTHS[month - 1]} {year}"


def remark(rng):
    return rng.choice(REMARKS).format(n=rng.randint(2, 30), p=number(rng), l=lot(rng),
                                      m=f"{rng.randint(2, 98)} {rng.randint(0, 9)}00")


def register_header(rng, sheet):
    return {"circonscription": rng.choice(DISTRICTS), "cadastre": rng.choice(CADASTRES),
            "lot": lot(rng), "feuille": str(sheet)}


def register_row(rng, date_style):
    """The six cells of one inscription; radiation and remarks are often empty."""
    radiation = f"rad. {number(rng)}" if rng.random() < 0.3 else ""
    remarks = remark(rng) if rng.random() < 0.4 else ""
    return [party(rng), rng.choice(NATURES), date(rng, date_style), number(rng), radiation, remarks]


def sentence(rng):
    text = rng.choice(SENTENCES)
    while "{" in text:
        for slot, value in (("{date}", date(rng, "long")), ("{lot}", lot(rng)), ("{num}", number(rng)),
                            ("{nom}", person(rng)), ("{ville}", rng.choice(TOWNS)),
                            ("{montant}", f"{rng.randint(2, 98)} {rng.randint(0, 9)}00")):
            text = text.replace(slot, value, 1)
    return text


def paragraph(rng, sentences):
    return " ".join(sentence(rng) for _ in range(sentences))
