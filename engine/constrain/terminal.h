// A TextDfa as bytes: the leaves of a grammar. Immutable; safe from any thread.
#ifndef HEARTH_ENGINE_CONSTRAIN_TERMINAL_H_
#define HEARTH_ENGINE_CONSTRAIN_TERMINAL_H_

#include <cstdint>
#include <utility>

#include "engine/constrain/text_dfa.h"

namespace hearth {

// How the text is spelt.
enum class Spelling : uint8_t {
  kUtf8,
  // In quotes; each character as itself where JSON lets it, or as any of its escapes. Halves of
  // surrogate pairs only come in pairs.
  kJsonString,
};

class Terminal {
 public:
  // Every state can be completed.
  struct State {
    uint32_t text;     // of the automaton
    uint32_t partial;  // how far into a character; 0: between characters

    bool operator==(const State& other) const {
      return text == other.text && partial == other.partial;
    }
  };
  enum class Step : uint8_t {
    kDead,
    kAlive,
    kClosed,  // a closing quote was read; there is no state any more
  };

  // REQUIRES: text is not empty.
  Terminal(SharedText text, Spelling spelling) : text_(std::move(text)), spelling_(spelling) {}

  State start() const;

  // whole_chars: the caller reads characters to their last byte before it asks anything, so that
  // not every byte needs a look at what may follow.
  Step Advance(State& state, uint8_t byte, bool whole_chars = false) const {
    // Most bytes are ASCII letters between characters.
    if (state.partial == 0 && byte >= 0x20 && byte < 0x80 &&
        (spelling_ == Spelling::kUtf8 || (byte != '"' && byte != '\\'))) {
      state.text = text_->Next(state.text, byte);
      return state.text == TextDfa::kDead ? Step::kDead : Step::kAlive;
    }
    return AdvanceSlow(state, byte, whole_chars);
  }

  // Whether the text may end here without another byte; never for kJsonString.
  bool Accepts(State state) const {
    return spelling_ == Spelling::kUtf8 && state.partial == 0 && text_->Accepts(state.text);
  }

  // Whether another byte may come. REQUIRES: the text may end here.
  bool GoesOn(State state) const { return text_->GoesOn(state.text); }

  // So many characters of the class, spelt as themselves, are safe here.
  uint8_t Run(State state, CharClass char_class) const {
    return state.partial == 0 ? text_->Run(state.text, char_class) : 0;
  }

  // Before the opening quote.
  bool IsUnopened(State state) const;

  Spelling spelling() const { return spelling_; }
  const TextDfa& text() const { return *text_; }

 private:
  Step AdvanceSlow(State& state, uint8_t byte, bool whole_chars) const;
  Step Finish(State& state, char32_t code) const;
  Step StartUtf8(State& state, uint8_t byte) const;
  Step ContinueUtf8(State& state, uint8_t byte, bool whole_chars) const;
  Step StartEscape(State& state, uint8_t byte) const;
  Step AddHexDigit(State& state, uint8_t byte) const;
  Step AddLowSurrogate(State& state, uint8_t byte) const;

  SharedText text_;
  Spelling spelling_;
};

}  // namespace hearth

#endif  // HEARTH_ENGINE_CONSTRAIN_TERMINAL_H_
