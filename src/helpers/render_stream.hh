/*
 * render_stream - a stream that counts what is read from another
 *
 * poppler's own filters cannot be derived from outside the library, hence from the base.
 */
#ifndef INDEXOCR_RENDER_STREAM_HH
#define INDEXOCR_RENDER_STREAM_HH

#include <poppler/Object.h> /* Stream.h cannot be read without it */
#include <poppler/Stream.h>

#include <cstdint>

class WatchedStream : public Stream
{
      public:
	/* Borrows the stream of an image with these dimensions. */
	WatchedStream(Stream *watched, int width, int height, int comps, int bits);

	/* Has the image's data been read, all but perhaps a last row or two? */
	bool was_read() const;

	/* Was there less of it? */
	bool ended_early() const;

	StreamKind getKind() const override;
	void reset() override;
	void close() override;
	int getChar() override;
	int lookChar() override;
	int getUnfilteredChar() override;
	void unfilteredReset() override;
	Goffset getPos() override;
	void setPos(Goffset pos, int dir) override;
	bool isBinary(bool last) const override;
	BaseStream *getBaseStream() override;
	Stream *getUndecodedStream() override;
	Dict *getDict() override;
	Object *getDictObject() override;
	Stream *getNextStream() const override;

      private:
	bool hasGetChars() override;
	int getChars(int count, unsigned char *buffer) override;
	void note(int n, int wanted);

	Stream *str; /* borrowed */
	int64_t expected;
	int64_t got;
	bool asked_past_end;
};

#endif
