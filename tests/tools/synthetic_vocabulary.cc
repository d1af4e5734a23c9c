#include "tests/tools/synthetic_vocabulary.h"

#include <algorithm>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"

namespace hearth {
namespace {

constexpr size_t kTokens = 1024;

constexpr absl::string_view kWords =
    "the a of and to in is it you that he was for on are with as his they be at one have this "
    "from or had by hot but some what there we can out other were all your when up use word how "
    "said an each she which do their time if will way about many then them would write like so "
    "these her long make thing see him two has look more day could go come did my sound no most "
    "number who over know water than call first people may down side been now find any new work "
    "part take get place made live where after back little only round man year came show every "
    "good me give our under name very through just form much great think say help low line before "
    "turn cause same mean differ move right boy old too does tell sentence set three want air well "
    "also play small end put home read hand port large spell add even land here must big high such "
    "follow act why ask men change went light kind off need house picture try us again animal "
    "point mother world near build self earth father head stand own page should country found "
    "answer school grow study still learn plant cover food sun four thought let keep eye never "
    "last door between city tree cross since hard start might story saw far sea draw left late run "
    "while press close night real life few stop open seem together next white children begin got "
    "walk example ease paper often always music those both mark book letter until mile river car "
    "feet care second group carry took rain eat room friend began idea fish mountain north once "
    "base hear horse cut sure watch color face wood main enough plain girl usual young ready above "
    "ever red list though feel talk bird soon body dog family direct pose leave song measure state "
    "product black short numeral class wind question happen complete ship area half rock order "
    "fire "
    "south problem piece told knew pass farm top whole king size heard best hour better true "
    "hundred remember step early hold west ground interest reach fast five sing listen six table "
    "travel less morning ten simple several toward war lay against pattern slow center love person "
    "money serve appear road map science rule govern pull cold notice voice fall power town fine "
    "sensor gateway window device kitchen lamp heater valve alarm garden basement temperature "
    "humidity pressure battery switch schedule request response server client stream token model "
    "cache block queue memory string number object array value function return true false null "
    "name description parameters arguments type content system user assistant tool role message";

// Special to a chat, and plain markers of the tool-call format.
constexpr absl::string_view kControlMarkers[] = {
    "<|endoftext|>", "<|endofprompt|>", "<|assistant|>", "<|end|>",
    "<|user|>",      "<|system|>",      "<|tag|>"};
constexpr absl::string_view kToolMarkers[] = {"<|tool|>", "<|/tool|>", "<|tool_call|>",
                                              "<|/tool_call|>", "<|tool_response|>"};
constexpr size_t kMarkers = std::size(kControlMarkers) + std::size(kToolMarkers);

// GPT-2's byte alphabet: printable Latin-1 stands for itself, the rest for U+0100 onwards.
std::string ByteSpelling(int byte, int* next_free) {
  const bool printable = (byte >= 33 && byte <= 126) || (byte >= 161 && byte != 173);
  const int code_point = printable ? byte : 256 + (*next_free)++;
  if (code_point < 0x80) return std::string(1, static_cast<char>(code_point));
  return {static_cast<char>(0xc0 | (code_point >> 6)), static_cast<char>(0x80 | (code_point & 63))};
}

// Byte-pair encoding learnt from words: the most frequent pair of neighbours becomes a token,
// the pair of lowest ids where several are as frequent.
class Trainer {
 public:
  explicit Trainer(std::vector<std::string>* tokens) : tokens_(tokens) {}

  void AddWord(absl::string_view word, int weight) {
    words_.push_back({{word.begin(), word.end()}, weight});
  }

  // Learns one more merge and returns it as files spell it; empty when no pair is left.
  std::string Learn() {
    const std::pair<int, int> best = MostFrequentPair();
    if (best.first < 0) return "";
    const std::string& left = (*tokens_)[best.first];
    const std::string& right = (*tokens_)[best.second];
    const std::string merge = absl::StrCat(left, " ", right);
    const int merged = IdOf(absl::StrCat(left, right));
    for (Word& word : words_) Replace(best, merged, &word.symbols);
    return merge;
  }

 private:
  struct Word {
    std::vector<int> symbols;  // token ids
    int weight;
  };

  // Two merges may spell the same token.
  int IdOf(const std::string& token) {
    const auto found = std::find(tokens_->begin(), tokens_->end(), token);
    if (found == tokens_->end()) {
      tokens_->push_back(token);
      return static_cast<int>(tokens_->size()) - 1;
    }
    return static_cast<int>(found - tokens_->begin());
  }

  std::pair<int, int> MostFrequentPair() const {
    absl::flat_hash_map<std::pair<int, int>, int> counts;
    for (const Word& word : words_) {
      for (size_t i = 0; i + 1 < word.symbols.size(); ++i) {
        counts[{word.symbols[i], word.symbols[i + 1]}] += word.weight;
      }
    }
    std::pair<int, int> best = {-1, -1};
    int best_count = 0;
    for (const auto& [pair, count] : counts) {
      if (count > best_count || (count == best_count && pair < best)) {
        best = pair;
        best_count = count;
      }
    }
    return best;
  }

  static void Replace(std::pair<int, int> pair, int merged, std::vector<int>* symbols) {
    std::vector<int> replaced;
    for (size_t i = 0; i < symbols->size(); ++i) {
      const bool match = i + 1 < symbols->size() && (*symbols)[i] == pair.first &&
                         (*symbols)[i + 1] == pair.second;
      replaced.push_back(match ? merged : (*symbols)[i]);
      if (match) ++i;
    }
    *symbols = std::move(replaced);
  }

  std::vector<std::string>* tokens_;
  std::vector<Word> words_;
};

}  // namespace

Vocabulary SyntheticVocabulary() {
  Vocabulary vocabulary;
  vocabulary.model = "gpt2";
  vocabulary.pre = "gpt-4o";
  vocabulary.add_bos = false;
  int next_free = 0;
  for (int byte = 0; byte < 256; ++byte) {
    vocabulary.tokens.push_back(ByteSpelling(byte, &next_free));
  }
  Trainer trainer(&vocabulary.tokens);  // byte tokens have their byte as id
  for (absl::string_view word : absl::StrSplit(kWords, ' ')) {
    trainer.AddWord(absl::StrCat(" ", word), 2);
    trainer.AddWord(word, 1);
  }
  while (vocabulary.tokens.size() < kTokens - kMarkers) {
    std::string merge = trainer.Learn();
    if (merge.empty()) break;
    vocabulary.merges.push_back(std::move(merge));
  }
  vocabulary.types.assign(vocabulary.tokens.size(), TokenType::kNormal);
  vocabulary.eos = static_cast<TokenId>(vocabulary.tokens.size());  // <|endoftext|>
  vocabulary.bos = vocabulary.unknown = vocabulary.eos;
  for (absl::string_view marker : kControlMarkers) {
    vocabulary.tokens.emplace_back(marker);
    vocabulary.types.push_back(TokenType::kControl);
  }
  for (absl::string_view marker : kToolMarkers) {
    vocabulary.tokens.emplace_back(marker);
    vocabulary.types.push_back(TokenType::kUserDefined);
  }
  return vocabulary;
}

}  // namespace hearth
