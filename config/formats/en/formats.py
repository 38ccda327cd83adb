"""How times are written where Django writes them: the day first, 24 hours, and with their zone."""

DATE_FORMAT = "j F Y"
SHORT_DATE_FORMAT = "j M Y"
DATETIME_FORMAT = "j F Y H:i e"
SHORT_DATETIME_FORMAT = "j M Y H:i e"
TIME_FORMAT = "H:i e"
