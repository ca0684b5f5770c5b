#include "render_stream.hh"

static const double MISSING_PART = 0.01; /* of the data: some scanners lose a last row or two */

WatchedStream::WatchedStream(Stream *watched, int width, int height, int comps, int bits)
    : str(watched), expected((static_cast<int64_t>(width) * comps * bits + 7) / 8 * height), got(0),
      asked_past_end(false)
{
}

bool WatchedStream::was_read() const
{
	return static_cast<double>(got) >= static_cast<double>(expected) * (1 - MISSING_PART);
}

bool WatchedStream::ended_early() const
{
	return asked_past_end && !was_read();
}

StreamKind WatchedStream::getKind() const
{
	return str->getKind();
}

void WatchedStream::reset()
{
	got = 0;
	asked_past_end = false;
	str->reset();
}

void WatchedStream::close()
{
	str->close();
}

int WatchedStream::getChar()
{
	const int c = str->getChar();

	note(c == EOF ? 0 : 1, 1);
	return c;
}

int WatchedStream::lookChar()
{
	return str->lookChar();
}

int WatchedStream::getUnfilteredChar()
{
	return str->getUnfilteredChar();
}

void WatchedStream::unfilteredReset()
{
	str->unfilteredReset();
}

Goffset WatchedStream::getPos()
{
	return str->getPos();
}

void WatchedStream::setPos(Goffset pos, int dir)
{
	str->setPos(pos, dir);
}

bool WatchedStream::isBinary(bool last) const
{
	return str->isBinary(last);
}

BaseStream *WatchedStream::getBaseStream()
{
	return str->getBaseStream();
}

Stream *WatchedStream::getUndecodedStream()
{
	return str->getUndecodedStream();
}

Dict *WatchedStream::getDict()
{
	return str->getDict();
}

Object *WatchedStream::getDictObject()
{
	return str->getDictObject();
}

Stream *WatchedStream::getNextStream() const
{
	return str;
}

bool WatchedStream::hasGetChars()
{
	return true;
}

int WatchedStream::getChars(int count, unsigned char *buffer)
{
	const int n = str->doGetChars(count, buffer);

	note(n, count);
	return n;
}

void WatchedStream::note(int n, int wanted)
{
	got += n > 0 ? n : 0;
	asked_past_end = asked_past_end || n < wanted;
}
